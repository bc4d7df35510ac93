"""Real calves in contraction as the worker measures them, over time, beside what three observers read in ten frames of each.

`python -m bench.clips` writes each published clip as a DICOM cine, opens it with the service's own decoder, runs the analysis,
and writes bench/results/clips.json and docs/img/gm-clips.svg. TimTrack's observers read the fascicles' angle to the superficial
aponeurosis, and the gap near the end where fascicles insert (bench.accuracy); ours of both stand beside thickness and pennation.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.accuracy import gap_at_insertion, human_errors, inferring, interval
from bench.bare_loop import MODEL, TRITON_PACKAGES, open_network
from bench.clip_to_dicom import MM_PER_PIXEL, write_clip
from bench.labelled_images import Reading, set_3_readings, shared_folder
from bench.small_multiples import Panel, write_small_multiples
from service.adapters.cine_decoder import FileCineReader
from service.core.analyses.analysis import Infer, Tensors
from service.core.analyses.muscle_architecture import MuscleArchitecture
from service.core.analyses.prepared import Prepared
from service.core.findings import Finding, ModelUsed, Series
from service.core.measure.architecture import FrameArchitecture
from service.core.measure.architecture_findings import QUANTITIES
from service.core.measure.smoothing import smooth
from service.core.preprocess import Placement

ANGLE, GAP = "fascicle_to_superficial", "thickness_at_insertion"
_EVIDENCE = {quantity.name: quantity.evidence for quantity in QUANTITIES}
_EMPTY = Series(time_seconds=(), values=(), unit="1")
_NOTES = (
    "Dots are single frames, lines the smoothed course, bands its 95 %. Observers: mean and spread of three, TimTrack set 3.",
    "Clips: Baxter and others, github.com/joshrbaxter/ultrasound_tracking, Zenodo 2598553; readings: van der Zee and Kuo,",
    "github.com/timvanderzee/ultrasound-automated-algorithm; both CC BY 4.0, one person. Drawn here: curves and numbers only.",
)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip, measured. `series` holds thickness, pennation_angle, and the two of the observers (mm and degrees)."""

    name: str
    frames: Sequence[FrameArchitecture]
    series: Mapping[str, Series]
    #: By frame number; heights in pixels.
    readings: Mapping[int, Sequence[Reading]]


@dataclass(frozen=True, kw_only=True)
class _Kept(MuscleArchitecture):
    """The real analysis, which keeps what it measured in each frame."""

    frames: list[FrameArchitecture] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)

    def measure(self, prepared: Prepared, outputs: Iterable[Tensors]) -> Iterator[FrameArchitecture]:
        """As the analysis does."""
        self.placements.append(prepared.placement)
        for frame in super().measure(prepared, outputs):
            self.frames.append(frame)
            yield frame


def main() -> None:
    """All clips, or a sentence when they are not there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("bench/results/clips.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/img/gm-clips.svg"))
    parser.add_argument("--runtime-from", type=Path, default=TRITON_PACKAGES)
    given = parser.parse_args()
    data = shared_folder()
    if data is None:
        print("skipped: no shared data folder with the clips (SONOMYO_SHARED)")
        return
    network, runtime = open_network(given.runtime_from)
    clips = measure_all(data, inferring(network))
    figures = {
        "runtime": runtime,
        "analysis": MuscleArchitecture().version,
        "weights_sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "mm_per_pixel": MM_PER_PIXEL,
        **summary(clips),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    draw(clips, given.picture)
    print(table(figures))


def measure_all(data: Path, infer: Infer) -> list[Clip]:
    """Each clip by way of a DICOM file and the decoder's process."""
    readings = set_3_readings(data / "timtrack")
    reader = FileCineReader()
    try:
        with tempfile.TemporaryDirectory(prefix="sonomyo-clips-") as folder:
            return [_measure(clip, Path(folder), reader, infer, readings) for clip in sorted((data / "gm_clips").glob("*.mp4"))]
    finally:
        reader.close()


def _measure(clip: Path, folder: Path, reader: FileCineReader, infer: Infer, readings: Mapping[str, Sequence[Reading]]) -> Clip:
    path, analysis = folder / f"{clip.stem}.dcm", _Kept()
    write_clip(clip, path)
    with reader.open(path) as cine:
        used = ModelUsed(name="muscle_segmentation", version="1", sha256="", evidence="real")
        found = {finding.name: finding for finding in analysis.analyse(cine, infer, lambda _: used)}
    path.unlink()
    return Clip(
        name=clip.stem,
        frames=analysis.frames,
        series=_series(found, analysis.frames, analysis.placements[0]),
        readings={
            number: readings[key] for number in range(1, len(analysis.frames) + 1) if (key := f"{clip.stem}_{number}") in readings
        },
    )


def _series(found: Mapping[str, Finding], frames: Sequence[FrameArchitecture], placement: Placement) -> dict[str, Series]:
    """As reported, and by the same rules what the observers read."""
    reported = {name: (found[name].series if name in found else None) or _EMPTY for name in ("thickness", "pennation_angle")}
    angles = [frame.fascicle_angle_deg for frame in frames if frame.fascicle_angle_deg is not None]
    sense = float(np.median(angles)) if angles else 1.0
    gaps = [_gap(frame, placement, sense) for frame in frames]
    return {
        **reported,
        GAP: smoothed(gaps, [_EVIDENCE["thickness"](frame) for frame in frames], reported["thickness"]),
        ANGLE: smoothed(
            [_to_superficial(frame) for frame in frames],
            [_EVIDENCE["pennation_angle"](frame) for frame in frames],
            reported["pennation_angle"],
        ),
    }


def _gap(frame: FrameArchitecture, placement: Placement, sense: float) -> float | None:
    if frame.lines is None:
        return None
    superficial, deep = (placement.to_region(line) for line in (frame.lines.superficial, frame.lines.deep))
    return gap_at_insertion(superficial, deep, sense) * MM_PER_PIXEL


def _to_superficial(frame: FrameArchitecture) -> float | None:
    if frame.fascicle_angle_deg is None or frame.superficial_angle_deg is None:
        return None
    return abs(frame.fascicle_angle_deg - frame.superficial_angle_deg)


def smoothed(values: Sequence[float | None], evidence: Sequence[float], like: Series) -> Series:
    """Values (N,) as a series with the times of another and without the frames that it leaves out."""
    used = [None if number in like.left_out else value for number, value in enumerate(values, start=1)]
    seconds = [time for time in like.time_seconds if time is not None]
    curve = smooth(used, evidence, seconds) if len(seconds) == len(values) else None
    return Series(
        time_seconds=like.time_seconds,
        values=tuple(values) if curve else (),
        unit=like.unit,
        smoothed=curve.values if curve else (),
        low=curve.low() if curve else (),
        high=curve.high() if curve else (),
        left_out=like.left_out,
    )


def summary(clips: Sequence[Clip]) -> dict[str, Any]:
    """Of each clip and of all; the intervals draw whole clips."""
    compared = {clip.name: {ANGLE: compare(clip, ANGLE), GAP: compare(clip, GAP)} for clip in clips}
    overall: dict[str, Any] = {}
    for kind in (ANGLE, GAP):
        rows = [(name, error) for name, kinds in compared.items() for error in kinds[kind]["errors"]]
        low, high = interval(np.array([error for _, error in rows]), [name for name, _ in rows])
        overall[kind] = {
            "unit": compared[clips[0].name][kind]["unit"],
            "labelled_frames": len(rows),
            "mean_absolute_error": float(np.mean([error for _, error in rows])),
            "interval": [low, high],
            **{
                name: float(np.mean([kinds[kind][name] for kinds in compared.values() if kinds[kind][name] is not None]))
                for name in ("of_single_frames", "bias", "correlation", "human")
            },
        }
    return {"clips": {clip.name: {**_course(clip), **compared[clip.name]} for clip in clips}, "all": overall}


def _course(clip: Clip) -> dict[str, Any]:
    thickness, pennation = clip.series["thickness"], clip.series["pennation_angle"]
    times = [time for time in thickness.time_seconds if time is not None]
    return {
        "frames": len(clip.frames),
        "frames_per_second": round((len(times) - 1) / times[-1], 3) if len(times) > 1 else None,
        "measured_share": sum(frame.shows_muscle for frame in clip.frames) / len(clip.frames),
        "with_pennation_share": sum(frame.pennation_deg is not None for frame in clip.frames) / len(clip.frames),
        "left_out": {"thickness": len(thickness.left_out), "pennation_angle": len(pennation.left_out)},
        "median_change_a_frame": {
            name: {"smoothed": typical_change(series.smoothed), "single_frames": typical_change(series.values)}
            for name, series in (("thickness", thickness), ("pennation_angle", pennation))
        },
        "median": {name: _median(clip.series[name].smoothed) for name in ("thickness", "pennation_angle")},
    }


def typical_change(values: Sequence[float | None]) -> float | None:
    """Median of the absolute change from one frame to the next."""
    return _median([abs(b - a) for a, b in pairwise(values) if a is not None and b is not None])


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def compare(clip: Clip, kind: str) -> dict[str, Any]:
    """The smoothed course and the single frames against the observers' mean; degrees, or per cent of what they read."""
    series, answered = clip.series[kind], []
    single, signed, people = [], [], []
    for number, read in clip.readings.items():
        people += human_errors(read, kind)
        if not series.smoothed or (value := series.smoothed[number - 1]) is None:
            continue
        true = float(np.mean(read_values(read, kind)))
        scale = 100 / true if kind == GAP else 1.0
        answered.append((value, true))
        signed.append((value - true) * scale)
        if (own := series.values[number - 1]) is not None:
            single.append(abs(own - true) * scale)
    errors = [abs(each) for each in signed]
    return {
        "unit": "%" if kind == GAP else "deg",
        "labelled_frames": len(clip.readings),
        "answered": len(answered),
        "mean_absolute_error": float(np.mean(errors)) if errors else None,
        "of_single_frames": float(np.mean(single)) if single else None,
        "bias": float(np.mean(signed)) if signed else None,
        "correlation": float(np.corrcoef(np.array(answered).T)[0, 1]) if len(answered) > 2 else None,
        "human": float(np.mean(people)) if people else None,
        "errors": [round(error, 4) for error in errors],
    }


def read_values(readings: Sequence[Reading], kind: str) -> list[float]:
    """What each observer read, degrees or mm."""
    if kind == GAP:
        return [height * MM_PER_PIXEL for _, _, height in readings]
    return [alpha - beta for alpha, beta, _ in readings]


def draw(clips: Sequence[Clip], path: Path) -> None:
    """A block a clip: lengths above, angles below."""
    blocks = {
        _title(clip.name): [
            _panel(clip, "thickness", GAP, "mm"),
            _panel(clip, "pennation_angle", ANGLE, "degrees"),
        ]
        for clip in clips
    }
    write_small_multiples(
        path,
        blocks,
        title="Gastrocnemius medialis in contraction: ten published clips, 61 frames a second",
        names=(
            "thickness; pennation, to the deep aponeurosis",
            "gap at the insertion; angle to the superficial one",
            "observers",
        ),
        notes=_NOTES,
    )


def _title(name: str) -> str:
    """`p6_isokinetic030_01_push_01` is the first push at 30 degrees a second."""
    return name.removeprefix("p6_").replace("_01_push_0", ", push ").replace("isokinetic", "isokinetic ").replace("_", " ")


def _panel(clip: Clip, ours: str, theirs: str, label: str) -> Panel:
    times = clip.series[theirs].time_seconds
    readings = [
        (time, read_values(read, theirs)) for number, read in clip.readings.items() if (time := times[number - 1]) is not None
    ]
    return Panel(label=label, curves={ours: clip.series[ours], theirs: clip.series[theirs]}, readings=readings)


def table(figures: Mapping[str, Any]) -> str:
    """For people."""
    lines = [f"{'':28s}{'frames':>7s}{'measured':>10s}{'left out':>10s}{'angle':>8s}{'human':>8s}{'gap':>8s}{'human':>8s}"]
    for name, row in figures["clips"].items():
        angle, gap = row[ANGLE], row[GAP]
        lines.append(
            f"{name:28s}{row['frames']:7d}{row['measured_share']:10.0%}{row['left_out']['pennation_angle']:10d}"
            f"{angle['mean_absolute_error']:8.2f}{angle['human']:8.2f}{gap['mean_absolute_error']:8.2f}{gap['human']:8.2f}"
        )
    for kind, row in figures["all"].items():
        low, high = row["interval"]
        lines.append(
            f"{kind}: {row['mean_absolute_error']:.2f} {row['unit']} ({low:.2f} to {high:.2f}), {row['labelled_frames']} frames,"
            f" single frames {row['of_single_frames']:.2f}, bias {row['bias']:+.2f}, observers {row['human']:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
