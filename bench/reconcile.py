"""How long a start takes to make files and rows agree: `python -m bench.reconcile --objects 10000`.

Two starts of the same store: every row known (what a restart meets), and no row known (what a lost database means). The floor
is the reading of the same files.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from bench.database import fresh_database
from bench.ingest import machine
from service.adapters.instance_store import FileInstanceStore, read_instance
from service.adapters.jobs import make_deferring_app
from service.adapters.migrations import migrate
from service.adapters.postgres import make_engine, make_unit_of_work_factory
from service.adapters.reconciliation import reconcile
from service.adapters.usual_arrival import PostgresArrivals
from service.records import ReceivedInstance
from tests.integration.stored_studies import store_instance


def main() -> None:
    """Run, print, write bench/results/reconcile.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="500 objects")
    parser.add_argument("--output", type=Path, default=Path("bench/results/reconcile.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sonomyo-reconcile-") as folder:
        report = run(Path(folder), 500 if given.quick else given.objects)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def run(folder: Path, objects: int) -> dict[str, object]:
    """Store, then start twice."""
    with fresh_database(folder) as url:
        engine = make_engine(url)
        migrate(engine)
        units = make_unit_of_work_factory(engine=engine, procrastinate=make_deferring_app())
        store = FileInstanceStore(root=folder / "store")
        for number in range(objects):
            store_instance(units, store, f"1.2.3.{number + 1}", study=f"1.2.4.{number // 20 + 1}")
        arrivals = PostgresArrivals(engine=engine)

        def save(received: ReceivedInstance) -> object:
            return arrivals.save(received, (), after_seconds=60)

        def start() -> object:
            return reconcile(engine=engine, store=store, read=read_instance, save=save)

        known, found = timed(start)
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE instances CASCADE"))
        forgotten, adopted = timed(start)
        floor, _ = timed(lambda: [store.path(key).read_bytes() for key in store.keys()])  # noqa: SIM118 - a port, not a dict
        return {
            "machine": machine(),
            "objects": objects,
            "seconds": {"every_row_known": known, "no_row_known": forgotten, "floor_reading_the_files": floor},
            "every_row_known": str(found),
            "no_row_known": str(adopted),
            "load_average": os.getloadavg(),
        }


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds, and what came of it."""
    begun = time.perf_counter()
    outcome = work()
    return round(time.perf_counter() - begun, 3), outcome


if __name__ == "__main__":
    main()
