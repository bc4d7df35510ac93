"""What `sonomyo simulate` does: DICOM cines into a folder, with the truth beside each."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator.calf import simulate_calf
from simulator.calf_in_motion import STATES_FRAMES, simulate_calf_states
from simulator.cine import AnyCine
from simulator.dicom import write_cine
from simulator.encode import TransferSyntax
from simulator.motor_cine import simulate_motor_units
from simulator.trapezius import TrapeziusTruth, simulate_trapezius
from simulator.wrist_examination import simulate_wrist

_CALF_FRAMES = 60
_KINDS: dict[str, Callable[[int, int | None], AnyCine]] = {
    "calf": lambda seed, frames: simulate_calf(seed, frames or _CALF_FRAMES),
    "calf-states": lambda seed, frames: simulate_calf_states(seed, frames or STATES_FRAMES),
    "trapezius": simulate_trapezius,
    "wrist": simulate_wrist,
    "motor-units": simulate_motor_units,
}
COHORT_FILE = "cohort.csv"


def simulate(
    kind: str,
    out_dir: Path,
    n: int = 1,
    seed: int = 1,
    transfer_syntax: TransferSyntax = "explicit",
    *,
    number_of_frames: int | None = None,
) -> Iterator[Path]:
    """Write `n` cines with the seeds from `seed` on; yields each file's path when it and its truth are complete.

    Of a trapezius `cohort.csv` lists them as the training of the myofascial pain model wants. Without a number of frames, a kind
    has its own. Raises ValueError for a kind or a transfer syntax that is not known.
    """
    if kind not in _KINDS:
        raise ValueError(f"the simulator does not know {kind!r}; it knows {', '.join(map(repr, _KINDS))}")
    out_dir.mkdir(parents=True, exist_ok=True)
    for one in range(seed, seed + n):
        yield write(_KINDS[kind](one, number_of_frames), out_dir, transfer_syntax)
    write_cohort(out_dir)


def write(cine: AnyCine, out_dir: Path, transfer_syntax: TransferSyntax) -> Path:
    """One cine and its truth."""
    path = out_dir / f"{cine.kind}_{cine.seed:06d}.dcm"
    write_cine(cine, path, transfer_syntax)
    path.with_suffix(".truth.json").write_text(cine.truth.model_dump_json(indent=1) + "\n")
    return path


def write_cohort(folder: Path) -> None:
    """`cohort.csv` of all trapezius cines in a folder: file, subject, label, site_type, side; nothing where there are none."""
    truths = sorted(folder.glob("trapezius_*.truth.json"))
    if not truths:
        return
    with (folder / COHORT_FILE).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "subject", "label", "site_type", "side"))
        for path in truths:
            truth = TrapeziusTruth.model_validate_json(path.read_text())
            name = path.name.replace(".truth.json", ".dcm")
            table.writerow((name, truth.subject, truth.label, truth.site_type, truth.side))
