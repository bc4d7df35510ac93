"""How long a page of the worklist takes among many studies: `python -m bench.worklist --studies 100000`.

Asked over HTTP of the real server, one request after the other: the first page, a deep one, searches that find few, many and
none, and each flag. The floor is the statement that finds the newest fifty rows by their index, alone, in the same rounds.
`processor` is the processor time of client, server and database together, for wall times say little on a busy machine.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import httpx2
import psutil
from sqlalchemy import Engine, text

from bench.database import fresh_database
from bench.ingest import machine
from service.access import Role
from service.adapters.jobs import make_deferring_app
from service.adapters.migrations import migrate
from service.adapters.postgres import make_engine, make_unit_of_work_factory
from service.adapters.worklist_searches import PostgresWorklistSearches
from service.api.limits import Limits
from service.views import StudyFilter, WorklistSearch
from tests.integration.api_parts import House

TARGET_MILLISECONDS = 50.0
_UNLIMITED = Limits(requests_per_second=1e6, request_burst=10**6)
#: Rounds that do not count.
_WARMING_UP = 3
#: Two instances and analyses a study, a report and a delivery; 1 in 40 failed, 1 in 50 did not arrive, 9 in 10 are signed.
_FILL = (
    """
    INSERT INTO studies (study_instance_uid, patient_id, patient_name, accession_number, study_date, status, created_at)
    SELECT '1.2.' || n, 'KH' || lpad((n % 30000)::text, 6, '0'),
           (array['Müller', 'Schmidt', 'Novák', 'Kowalska', 'Nguyen', 'Rossi', 'Yildiz', 'O''Neil'])[1 + n % 8] || to_hex(n % 977)
           || '^' || (array['Anna', 'Bert', 'Carla', 'Dora', 'Emil'])[1 + n % 5] || to_hex(n % 89),
           'ACC' || n, to_char(date '2024-01-01' + (n * 1000 / :studies), 'YYYYMMDD'), 'reported',
           now() - (:studies - n) * interval '5 minutes'
    FROM generate_series(1, :studies) n
    """,
    """
    INSERT INTO instances (sop_instance_uid, sop_class_uid, study_instance_uid, series_instance_uid, transfer_syntax_uid,
        attributes, attributes_digest, pixels_digest, storage_key, size_bytes, disposition, is_current)
    SELECT '1.3.' || n || '.' || m, '1.2.840.10008.5.1.4.1.1.3.1', '1.2.' || n, '1.4.' || n, '1.2.840.10008.1.2.1', '{}',
        n || '.' || m, n || '.' || m, n || '.' || m, 1, 'current', true
    FROM generate_series(1, :studies) n, generate_series(1, 2) m
    """,
    """
    INSERT INTO analyses (instance_id, analysis_name, state, why)
    SELECT i.id, CASE WHEN i.id % 500 < 3 THEN 'wrist_hand' ELSE 'muscle_architecture' END,
        CASE WHEN i.id % 80 = 0 THEN 'failed' ELSE 'done' END, 'bench' FROM instances i
    """,
    """
    INSERT INTO reports (report_id, study_instance_uid, version, status, body, is_settled)
    SELECT 'r' || n, '1.2.' || n, 1, CASE WHEN n % 10 = 0 THEN 'preliminary' ELSE 'final' END, '{}', n % 10 > 0
    FROM generate_series(1, :studies) n
    """,
    """
    INSERT INTO deliveries (report_id, destination, kind, state)
    SELECT 'r' || n, 'pacs', 'sr', CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'delivered' END FROM generate_series(1, :studies) n
    """,
)
_FLOOR = text("SELECT * FROM studies ORDER BY created_at DESC, study_instance_uid DESC LIMIT 51")


def main() -> None:
    """Run, print, write bench/results/worklist.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="5,000 studies, 10 rounds")
    parser.add_argument("--output", type=Path, default=Path("bench/results/worklist.json"))
    given = parser.parse_args()
    studies, rounds = (5000, 10) if given.quick else (given.studies, given.rounds)
    with tempfile.TemporaryDirectory(prefix="sonomyo-worklist-") as folder:
        report = run(Path(folder), studies, rounds)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def run(folder: Path, studies: int, rounds: int) -> dict[str, object]:
    """Fill, then ask."""
    before = os.getloadavg()
    with fresh_database(folder) as url:
        engine = make_engine(url)
        migrate(engine)
        fill(engine, studies)
        units = make_unit_of_work_factory(engine=engine, procrastinate=make_deferring_app())
        with House(engine, units, folder / "store", limits=_UNLIMITED) as house, house.served() as address:
            client = house.person(Role.VIEWER)
            with httpx2.Client(base_url=address, cookies=dict(client.cookies), timeout=60) as http:
                taken = measure(house, engine, http, rounds)
        return {
            "machine": machine(),
            "studies": studies,
            "rounds": rounds,
            "target_p95_milliseconds": TARGET_MILLISECONDS,
            **taken,
            "load_average": {"before": before, "after": os.getloadavg()},
        }


def fill(engine: Engine, studies: int) -> None:
    """Rows as a year or two leave them."""
    with engine.begin() as connection:
        for statement in _FILL:
            connection.execute(text(statement), {"studies": studies})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def measure(house: House, engine: Engine, http: httpx2.Client, rounds: int) -> dict[str, object]:
    """Each kind of page in turn, so that a disturbance meets all of them; milliseconds."""

    def floor() -> None:
        with engine.connect() as connection:
            connection.execute(_FLOOR).all()

    pages = addresses(house)
    works: dict[str, Callable[[], object]] = {"floor: newest rows by index": floor}
    works |= {name: partial(fetch, http, address) for name, address in pages.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + _WARMING_UP):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            if number >= _WARMING_UP:
                seconds[name].append(time.perf_counter() - begun)
    found = {name: summary(taken) for name, taken in seconds.items()}
    least = found["floor: newest rows by index"]["median"]
    for name, work in works.items():
        found[name]["ratio_of_medians"] = round(found[name]["median"] / least, 1)
        found[name]["processor"] = round(processor_milliseconds(work, rounds), 1)
    return {"milliseconds": found}


def processor_milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Of one call: of client, server and database together, which hardly depends on what else the machine does."""
    begun = _processor_seconds()
    for _ in range(rounds):
        work()
    return (_processor_seconds() - begun) / rounds * 1000


def _processor_seconds() -> float:
    """Of this process and all below it."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def fetch(http: httpx2.Client, address: str) -> None:
    """One page, to its end."""
    http.get(address).raise_for_status()


def summary(seconds: list[float]) -> dict[str, float]:
    """In milliseconds."""
    taken = [each * 1000 for each in seconds]
    return {"median": round(median(taken), 2), "p95": round(quantiles(taken, n=20)[-1], 2), "most": round(max(taken), 2)}


def addresses(house: House) -> Mapping[str, str]:
    """Of a page each."""
    searches = PostgresWorklistSearches(engine=house.engine)
    (anna,) = house.users.list()

    def search(**wanted: str) -> str:
        return f"/?search={searches.keep(WorklistSearch.model_validate(wanted), principal=f'user:{anna.user_id}')}"

    deep, studies = None, house.app.state.services.studies
    for _ in range(20):
        deep = studies.worklist(StudyFilter(), limit=500, cursor=deep).next_cursor or deep
    return {
        "first page": "/",
        "deep page": f"/?cursor={deep}",
        "name, one in eight": search(patient="muller"),
        "name, two words": search(patient="anna4 novak1"),
        "name, nobody": search(patient="zzz"),
        "ID, beginning": search(patient="kh00012"),
        "accession": search(accession_number="ACC4321"),
        "name in an old month": search(patient="schmidt") + "&from=2024-02-01&to=2024-02-29",
        "old month": "/?from=2024-02-01&to=2024-02-29",
        "rare analysis": "/?analysis=wrist_hand",
        "analysed now": "/?status=analysing",
        "needs review": "/?flag=review",
        "failed": "/?flag=failed",
        "undelivered": "/?flag=undelivered",
        "REST, first page": "/api/v1/studies",
    }


if __name__ == "__main__":
    main()
