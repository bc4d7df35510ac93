"""What `sonomyo simulate` does: DICOM cines into a folder, with the truth beside each."""

from collections.abc import Iterator
from pathlib import Path

from simulator.calf import simulate_calf
from simulator.dicom import write_cine
from simulator.encode import TransferSyntax


def simulate(
    kind: str,
    out_dir: Path,
    n: int = 1,
    seed: int = 1,
    transfer_syntax: TransferSyntax = "explicit",
    *,
    number_of_frames: int = 60,
) -> Iterator[Path]:
    """Write `n` cines with the seeds from `seed` on; yields each file's path when it and its truth are complete.

    Raises ValueError for a kind or a transfer syntax that is not known.
    """
    if kind != "calf":
        raise ValueError(f"the simulator does not know {kind!r}; it knows 'calf'")
    out_dir.mkdir(parents=True, exist_ok=True)
    for one in range(seed, seed + n):
        cine = simulate_calf(one, number_of_frames)
        path = out_dir / f"{kind}_{one:06d}.dcm"
        write_cine(cine, path, transfer_syntax)
        path.with_suffix("").with_suffix(".truth.json").write_text(cine.truth.model_dump_json(indent=1) + "\n")
        yield path
