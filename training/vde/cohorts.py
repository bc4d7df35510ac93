"""Which simulated people belong to which cohort, fixed before anything was trained on any of them; and a command that makes them.

`python -m training.vde.cohorts --out DIR --names small-00 medium` writes each as a folder of DICOM cines and `cohort.csv`; what
is there already is not made again.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from simulator.device import DeviceGroup
from simulator.trapezius import SITES_A_PERSON, simulate_trapezius
from simulator.write import write, write_cohort


@dataclass(frozen=True, slots=True)
class SimulatedCohort:
    """So many people with consecutive numbers."""

    name: str
    first_person: int
    people: int
    device_group: DeviceGroup = "common"

    @property
    def seeds(self) -> range:
        """One a cine."""
        first = SITES_A_PERSON * (self.first_person - 1) + 1
        return range(first, first + SITES_A_PERSON * self.people)


#: Encoders, training and preprocessing were chosen on them; no figure is reported.
DEVELOPMENT = SimulatedCohort("development", 400_001, 96)
#: Twenty of the size of the paper's.
SMALL = tuple(SimulatedCohort(f"small-{number:02d}", 100_001 + 24 * number, 24) for number in range(20))
MEDIUM = SimulatedCohort("medium", 200_001, 200)
LARGE = SimulatedCohort("large", 200_001, 400)
#: Only parameters, no pictures.
ORACLE = SimulatedCohort("oracle", 300_001, 2400)
#: For the served model alone: never in any fold.
HELD_OUT = SimulatedCohort("held-out", 600_001, 96)
HELD_OUT_DEVICE = SimulatedCohort("held-out-device", 500_001, 48, "held-out")

COHORTS = {cohort.name: cohort for cohort in (DEVELOPMENT, *SMALL, MEDIUM, LARGE, HELD_OUT, HELD_OUT_DEVICE)}


def main() -> None:
    """Make the cohorts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder a cohort is made in it")
    parser.add_argument("--names", nargs="+", choices=sorted(COHORTS), default=["small-00"])
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    for name in arguments.names:
        make(COHORTS[name], arguments.out / name, arguments.processes)
        print(f"{arguments.out / name}: {COHORTS[name].people} people", flush=True)


def make(cohort: SimulatedCohort, folder: Path, processes: int = 1) -> None:
    """Write what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in cohort.seeds if not (folder / f"trapezius_{seed:06d}.truth.json").exists()]
    _write_all(partial(_write_one, folder=folder, device_group=cohort.device_group), missing, processes)
    write_cohort(folder)


def _write_all(write_one: "partial[None]", seeds: Sequence[int], processes: int) -> None:
    with ProcessPoolExecutor(processes) as pool:
        for _ in pool.map(write_one, seeds, chunksize=2):
            pass


def _write_one(seed: int, folder: Path, device_group: DeviceGroup) -> None:
    write(simulate_trapezius(seed, device_group=device_group), folder, "jpeg")


if __name__ == "__main__":
    main()
