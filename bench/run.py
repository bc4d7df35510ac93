"""`make bench`: every benchmark in turn, each in a process of its own; what lacks a peer is skipped, with the reason.

Figures and pictures go to bench/results; `--quick` takes a few minutes, says little, and writes to build/bench.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STORESCU, STORESCP, ORTHANC = Path("/usr/bin/storescu"), Path("/usr/bin/storescp"), Path("/usr/sbin/Orthanc")
CHROMIUM = Path("/usr/bin/chromium")
PACKAGES = {STORESCU: "dcmtk", STORESCP: "dcmtk", ORTHANC: "orthanc", CHROMIUM: "chromium"}
TRITON = Path(".triton")


@dataclass(frozen=True)
class Benchmark:
    """A module of bench, what it needs, and its options."""

    name: str
    needs: Sequence[Path]
    options: Sequence[str]
    quick_options: Sequence[str]


BENCHMARKS = (
    Benchmark("ingest", (STORESCU, STORESCP, ORTHANC), (), ("--rounds", "1", "--loads", "18 MB, 1 association")),
    Benchmark("end_to_end", (TRITON,), (), ("--quick",)),
    Benchmark("encoder", (TRITON,), (), ("--quick",)),
    Benchmark("motor_units", (TRITON,), (), ("--quick",)),
    Benchmark("motor_memory", (TRITON,), (), ("--frames", "512", "1024")),
    Benchmark("reconcile", (), (), ("--quick",)),
    Benchmark("worklist", (), (), ("--quick",)),
    Benchmark("viewer", (TRITON, CHROMIUM), (), ("--quick",)),
    Benchmark("viewer_start", (TRITON, CHROMIUM), (), ("--quick",)),
    Benchmark("viewer_playing", (TRITON, CHROMIUM), (), ("--quick",)),
    Benchmark("memory", (STORESCU, TRITON), ("--gigabytes", "2"), ("--quick",)),
)


def main() -> None:
    """Run all; exits with 1 when one of them failed. A skipped one is no failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", default=[benchmark.name for benchmark in BENCHMARKS])
    given = parser.parse_args()
    wanted = [benchmark for benchmark in BENCHMARKS if benchmark.name in given.only]
    failed = [benchmark.name for benchmark in wanted if not run(benchmark, quick=given.quick)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def run(benchmark: Benchmark, *, quick: bool) -> bool:
    """False when it ran and failed."""
    missing = [need for need in benchmark.needs if not need.exists()]
    if missing:
        print(f"== {benchmark.name}: skipped, for {' and '.join(map(_said, missing))}", flush=True)
        return True
    load = os.getloadavg()[0]
    busy = " (the machine is busy: figures will be worse)" if load > (os.cpu_count() or 1) / 2 else ""
    print(f"== {benchmark.name}: load average {load:.1f}{busy}", flush=True)
    aside = ["--output", str(Path("build/bench") / f"{benchmark.name}.json")]  # otherwise each knows its own place
    options = [*benchmark.quick_options, *aside] if quick else benchmark.options
    return subprocess.run([sys.executable, "-m", f"bench.{benchmark.name}", *options], check=False).returncode == 0


def _said(missing: Path) -> str:
    if missing in PACKAGES:
        return f"{missing} is missing (apt-get install {PACKAGES[missing]})"
    return f"{missing} is missing (make setup)"


if __name__ == "__main__":
    main()
