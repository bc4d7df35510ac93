// Live guidance: frames of a source go to the service, its answers onto the page. docs/live.md has the protocol.

import { say } from "./words.js";

const SIDE = 640; // Frames are made no wider: the network sees 192 pixels.
const KEPT = 600; // Latencies that the figures are of.
const IN_FLIGHT = 3; // Frames on their way without an answer; more would only queue.
const MOVES = { left: "←", right: "→", tilt: "⤡", press: "↓", more_depth: "⇲", less_depth: "⇱" };
const byId = (id) => document.getElementById(id);
const form = byId("source");
const canvas = byId("picture");
const pen = canvas.getContext("2d", { willReadFrequently: true });
let running = null;

/** Frames of a video element, as JPEG of at most SIDE pixels. */
class VideoSource {
  constructor(video) { this.video = video; this.format = "jpeg"; }

  async start() {
    await this.video.play();
    const shrink = Math.min(1, SIDE / this.video.videoWidth);
    canvas.width = Math.round(this.video.videoWidth * shrink);
    canvas.height = Math.round(this.video.videoHeight * shrink);
    return { shrink };
  }

  async next() {
    if (this.video.ended) return null;
    pen.drawImage(this.video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
    return blob.arrayBuffer();
  }

  stop() {
    this.video.pause();
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
  }
}

/** Of Sequence of Ultrasound Regions the largest that is 2D tissue; millimetres only of square pixels in centimetres (PS3.3 C.8.5.5). */
function tissue(regions) {
  const told = (region, tag) => region[tag]?.Value?.[0];
  const box = (region) => ["00186018", "0018601A", "0018601C", "0018601E"].map((tag) => told(region, tag));
  const area = ([x0, y0, x1, y1]) => (x1 - x0 + 1) * (y1 - y0 + 1);
  const shown = regions.filter((region) => told(region, "00186012") === 1 && told(region, "00186014") === 1);
  const [largest] = shown.sort((one, other) => area(box(other)) - area(box(one)));
  if (!largest) return {};
  const [across, down] = ["0018602C", "0018602E"].map((tag) => Math.abs(told(largest, tag)));
  const inCentimetres = told(largest, "00186024") === 3 && told(largest, "00186026") === 3;
  const isSquare = across > 0 && Math.abs(across / down - 1) < 0.01;
  return { inside: box(largest), mm: inCentimetres && isSquare ? across * 10 : undefined };
}

/** Frames of a stored cine, as they are stored where a browser can show them. */
class CineSource {
  constructor({ study, series, instance }) {
    this.address = `/dicom-web/studies/${study}/series/${series}/instances/${instance}`;
    this.number = 0;
    this.frames = [];
  }

  async start() {
    const [attributes] = await (await asked(`${this.address}/metadata`, "application/dicom+json")).json();
    const value = (tag) => attributes[tag]?.Value?.[0];
    this.count = value("00280008") ?? 1;
    this.rows = value("00280010");
    this.columns = value("00280011");
    this.isRaw = attributes["7FE00010"] && value("00280002") === 1 && value("00280004") === "MONOCHROME2" && value("00280100") === 8;
    const first = await this.fetched(1);
    this.format = first.format;
    canvas.width = this.columns;
    canvas.height = this.rows;
    const { inside, mm } = tissue(attributes["00186011"]?.Value ?? []);
    return {
      rows: this.rows,
      columns: this.columns,
      mm_per_pixel: mm,
      region: inside && [inside[0], inside[1], Math.min(inside[2] + 1, this.columns), Math.min(inside[3] + 1, this.rows)],
    };
  }

  /** The frame as stored, else as the service renders it. */
  async fetched(number) {
    let answer = await fetch(`${this.address}/frames/${number}`, {
      headers: { Accept: "image/jpeg; transfer-syntax=*, application/octet-stream; transfer-syntax=*" },
    });
    const kind = answer.headers.get("content-type") ?? "";
    const isStored = answer.ok && (kind.includes("1.2.840.10008.1.2.4.50") || (kind.startsWith("application/octet-stream") && this.isRaw));
    if (!isStored) answer = await asked(`${this.address}/frames/${number}/rendered`, "image/jpeg");
    const bytes = await answer.arrayBuffer();
    const format = isStored && !kind.startsWith("image/jpeg") ? "raw" : "jpeg";
    return { bytes, format };
  }

  /** All frames, before the first is sent: what is measured is the answer, not the way of the cine to the page. */
  async load(tell) {
    for (let number = 1; number <= this.count; number += 1) {
      this.frames.push((await this.fetched(number)).bytes);
      if (number % 10 === 0) tell(say("Loading frame {frame} of {count}.", { frame: number, count: this.count }));
    }
  }

  async next() {
    const bytes = this.frames[this.number];
    if (bytes === undefined) return null;
    this.number += 1;
    this.shown(bytes);
    return bytes;
  }

  async shown(bytes) {
    if (this.format === "jpeg") {
      pen.drawImage(await createImageBitmap(new Blob([bytes])), 0, 0);
      return;
    }
    const grey = new Uint8Array(bytes);
    const image = pen.createImageData(this.columns, this.rows);
    const words = new Uint32Array(image.data.buffer);
    for (let place = 0; place < words.length; place += 1) words[place] = 0xff000000 | (grey[place] * 0x010101);
    pen.putImageData(image, 0, 0);
  }

  stop() {}
}

async function asked(address, kind) {
  const answer = await fetch(address, { headers: { Accept: kind } });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? say("The service answered {status}.", { status: answer.status }));
  return answer;
}

async function chosen(values) {
  const kind = values.get("source");
  if (kind === "cine") return new CineSource(Object.fromEntries(["study", "series", "instance"].map((name) => [name, values.get(name).trim()])));
  const video = document.createElement("video");
  video.muted = true;
  if (kind === "file") {
    if (!values.get("file")?.size) throw new Error(say("Choose a video file."));
    video.src = URL.createObjectURL(values.get("file"));
  } else {
    const devices = navigator.mediaDevices;
    if (!devices) throw new Error(say("The browser gives a camera or the screen to pages over HTTPS or on this machine only."));
    video.srcObject = kind === "camera" ? await devices.getUserMedia({ video: { width: 1280 } }) : await devices.getDisplayMedia({ video: true });
  }
  return new VideoSource(video);
}

/** One examination, from the click on Start to the end of the source. */
class Examination {
  constructor(source, rate) {
    this.source = source;
    this.rate = rate;
    this.sent = new Map();
    this.isUnanswered = false;
    this.latencies = [];
    this.parts = {};
    this.number = 0;
    this.held = 0;
    this.began = performance.now();
  }

  async run(start) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/api/v1/live?language=${document.documentElement.lang}`);
    this.socket.binaryType = "arraybuffer";
    await new Promise((done, fail) => {
      this.socket.onopen = done;
      this.socket.onerror = () => fail(new Error(say("The service does not take live frames now.")));
    });
    this.socket.send(JSON.stringify(start));
    this.ended = new Promise((done) => { this.socket.onclose = done; }).then(({ wasClean }) => {
      if (!wasClean) tellProblem(say("The connection to the service was lost."));
    });
    await new Promise((ready) => {
      this.socket.onmessage = ({ data }) => { this.take(JSON.parse(data)); ready(); };
      this.ended.then(ready);
    });
    this.began = performance.now();
    this.timer = setInterval(() => this.step(), 1000 / this.rate);
    await this.ended;
    this.stop();
  }

  async step() {
    if (this.busy || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.sent.size >= IN_FLIGHT) { this.held += 1; return; }
    this.busy = true;
    try {
      const bytes = await this.source.next();
      if (bytes === null) { clearInterval(this.timer); setTimeout(() => this.socket.close(), 1000); return; }
      const message = new Uint8Array(4 + bytes.byteLength);
      this.number += 1;
      new DataView(message.buffer).setUint32(0, this.number);
      message.set(new Uint8Array(bytes), 4);
      this.sent.set(this.number, performance.now());
      this.socket.send(message);
    } finally { this.busy = false; }
  }

  take(told) {
    const sentAt = this.sent.get(told.number);
    // What was sent before it is answered with it: the service took the newer one instead.
    for (const number of this.sent.keys()) if (number <= told.number) this.sent.delete(number);
    if (told.type === "guidance") {
      if (this.isUnanswered) tellProblem("");
      this.isUnanswered = false;
      this.latencies.push(performance.now() - sentAt);
      if (this.latencies.length > KEPT) this.latencies.shift();
      this.dropped = told.dropped + this.held;
      this.frames = (this.frames ?? 0) + 1;
      show(told);
      this.tellLatency(told.milliseconds);
    } else if (told.type === "stored") {
      byId("kept").innerHTML = "";
      const link = document.createElement("a");
      link.href = `/studies/${told.study_instance_uid}`;
      link.textContent = say("Study of the kept frames");
      byId("kept").append(link);
    } else if (told.type === "problem") {
      this.isUnanswered = told.number !== undefined; // else a frame could not be kept, which stays told
      if (this.isUnanswered) showNoAnswer();
      tellProblem(told.detail);
    }
  }

  tellLatency(milliseconds) {
    const quantile = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];
    const at = (share) => quantile(this.latencies, share);
    for (const [name, value] of Object.entries(milliseconds)) {
      const values = (this.parts[name] ??= []);
      values.push(value);
      if (values.length > KEPT) values.shift();
    }
    document.body.dataset.parts = JSON.stringify(Object.fromEntries(Object.entries(this.parts).map(([name, values]) => [name, quantile(values, 0.95)])));
    const seconds = (performance.now() - this.began) / 1000;
    const figures = { answers: this.frames, dropped: this.dropped, p50: at(0.5), p95: at(0.95), rate: this.frames / seconds };
    Object.assign(document.body.dataset, Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value).toFixed(1)])));
    const told = {
      milliseconds: this.latencies.at(-1).toFixed(0),
      most: figures.p95.toFixed(0),
      network: milliseconds.network.toFixed(0),
      rate: figures.rate.toFixed(0),
      dropped: figures.dropped,
    };
    byId("latency").textContent = say("Answer in {milliseconds} ms (95 % within {most} ms; network {network} ms), {rate} frames a second, {dropped} dropped", told);
  }

  stop() {
    clearInterval(this.timer);
    this.source.stop();
    if (this.socket.readyState === WebSocket.OPEN) this.socket.close();
    document.body.dataset.state = "ended";
  }
}

/** What was said of an earlier frame is not true of this one. */
function showNoAnswer() {
  byId("plane").textContent = say("No answer");
  byId("grade").textContent = "–";
  byId("grade").dataset.grade = "";
  for (const name of ["probability", "words", "move", "faults"]) byId(name).replaceChildren();
  for (const line of byId("checklist").children) line.classList.remove("now");
}

function show(told) {
  const { shown } = told;
  byId("plane").textContent = shown ? `${shown.plane} ${shown.title}` : say("No standard plane");
  byId("probability").textContent = shown ? `${Math.round(100 * shown.probability)} %` : "";
  byId("grade").textContent = shown ? shown.grade : "–";
  byId("grade").dataset.grade = shown ? shown.grade : "";
  byId("words").textContent = told.advice;
  byId("move").textContent = MOVES[told.move] ?? "";
  byId("faults").replaceChildren(...(shown?.faults ?? []).slice(0, 3).map((fault) => item("li", fault.text)));
  const done = told.checklist.filter((tick) => tick.is_frozen).length;
  byId("count").textContent = say("{done} of {count}", { done, count: told.checklist.length });
  byId("checklist").replaceChildren(...told.checklist.map((tick) => {
    const line = item("li", "");
    line.append(item("span", tick.plane, "name"), item("span", tick.title, "title"), item("span", tick.is_frozen ? "✓" : tick.grade ?? "", "tick"));
    line.className = [tick.is_frozen ? "frozen" : "", tick.plane === shown?.plane ? "now" : "", tick.plane === told.next_plane ? "next" : ""].join(" ");
    return line;
  }));
}

function item(name, text, kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function tellProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

function follow() {
  form.dataset.source = form.elements.source.value;
  form.dataset.keep = String(form.elements.keep?.checked ?? false);
}

async function begin() {
  tellProblem("");
  const values = new FormData(form);
  const source = await chosen(values);
  try { await examine(source, values); } finally { source.stop(); }
}

async function examine(source, values) {
  const told = await source.start();
  const mm = parseFloat(String(values.get("mm")).replace(",", "."));
  const start = { format: source.format, keep: values.get("keep") === "on" };
  if (source.format === "raw") Object.assign(start, { rows: told.rows, columns: told.columns });
  if (told.region) start.region = told.region;
  const scale = source instanceof CineSource ? told.mm_per_pixel : mm / told.shrink;
  if (scale > 0) start.mm_per_pixel = scale;
  for (const name of ["patient_id", "accession_number", "laterality"]) if (start.keep && values.get(name)) start[name] = values.get(name);
  await source.load?.((text) => { byId("words").textContent = text; });
  running = new Examination(source, Number(values.get("rate")));
  document.body.dataset.state = "running";
  await running.run(start);
}

form.addEventListener("change", follow);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelector("[data-start]").hidden = true;
  form.querySelector("[data-stop]").hidden = false;
  try { await begin(); } catch (error) { tellProblem(error.message); document.body.dataset.state = "failed"; }
  running = null;
  form.querySelector("[data-start]").hidden = false;
  form.querySelector("[data-stop]").hidden = true;
});
form.querySelector("[data-stop]").addEventListener("click", () => running?.stop());
const asks = new URLSearchParams(location.search);
if (asks.get("instance")) form.elements.source.value = "cine";
follow();
if (asks.get("start") === "1") form.requestSubmit();
