// What a person made of a number whose course over the cine is plotted: the course stays the software's.

import { say } from "../words.js";

const RADIUS = 6; // of the mark, in pixels of the page

/** The frame in which a person measured between lines of their own; null where no frame is theirs. */
export function amendedFrame({ amended, evidence, value, unit, series }) {
  const software = amended?.original.evidence;
  if (!software || typeof value !== "number" || unit !== series?.unit || evidence.frames.length !== 1) return null;
  const isTheirs = JSON.stringify(evidence.lines) !== JSON.stringify(software.lines);
  return isTheirs ? evidence.frames[0] : null;
}

/** Under a plot, where a person changed the number: whose the curve is. `words(value, unit)` writes a number. */
export function noteOf(finding, words) {
  if (!finding.amended || typeof finding.value !== "number") return [];
  const note = document.createElement("p");
  note.className = "whose";
  const told = { frame: amendedFrame(finding), value: words(finding.value, finding.unit) };
  note.textContent = told.frame
    ? say("◆ After amendment, frame {frame}: {value}. The curve is the software's.", told)
    : say("After amendment: {value}. The curve is the software's.", told);
  return [note];
}

/** A diamond, told apart from the curve's dots by its form. */
export function markAmended(plot, x, value, [ink, edge]) {
  const ratio = devicePixelRatio || 1;
  const [across, down, reach] = [plot.valToPos(x, "x", true), plot.valToPos(value, "y", true), RADIUS * ratio];
  const { ctx: context } = plot;
  context.save();
  context.fillStyle = ink;
  context.strokeStyle = edge;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  context.moveTo(across, down - reach);
  context.lineTo(across + reach, down);
  context.lineTo(across, down + reach);
  context.lineTo(across - reach, down);
  context.closePath();
  context.fill();
  context.stroke();
  context.restore();
}
