"""Pictures of the pages for the documents: `make screenshots`, or `python -m bench.screenshots`.

The whole service with its own models, on simulated cines; `bench.pictured_pages` lists the pages. With `--keep FOLDER` the next
run finds what was analysed.
"""

import argparse
import io
import json
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import groupby
from pathlib import Path

import httpx2
import pydicom
from PIL import Image
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]  # they are made at run time

from bench.pictured_pages import Picture, Who, pages
from simulator.write import simulate
from tests.browser import PLAIN, WEBGL, Tab, tab
from tests.e2e.sending import send, study_of
from tests.integration.store_parts import Scp, running
from tests.running import RunningService, running_service

SEED = 3
_LARGEST_BYTES = 300_000
#: On a machine that has other things to do.
_PATIENCE_SECONDS = 1200
#: Patient's own words of the pages' header would tell nothing: these are simulated, and say so.
_ONE_PATIENT = {"PatientName": "Simulated^Calf^Two visits", "PatientID": "SIM-CALF-TWO-VISITS", "PatientBirthDate": "19800101"}
#: What each study shows: kind of the simulator, seed, and what of its header is another.
STUDIES = {
    "earlier calf": ("calf", SEED + 1, {**_ONE_PATIENT, "StudyDate": "20251120", "AccessionNumber": "SIM-2025"}),
    "later calf": ("calf", SEED + 2, {**_ONE_PATIENT, "AccessionNumber": "SIM-2026"}),
    "calf": ("calf", SEED, {}),
    "wrist": ("wrist", SEED, {}),
    "trapezius": ("trapezius", SEED, {}),
    "muscle states": ("calf-states", SEED, {}),
    "motor units": ("motor-units", SEED, {}),
}
_PERSONS = (
    ("anna", "Dr Anna Example", "radiologist"),
    ("otto", "Otto Example", "administrator"),
    ("vera", "Vera Example", "viewer"),
)


def main() -> None:
    """Simulate, analyse, and take every picture that is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of pictures; all without")
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--keep", type=Path, help="a folder for the service's data, for another run")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with (
        nullcontext(given.keep) if given.keep else tempfile.TemporaryDirectory(prefix="sonomyo-pictures-") as folder,
        pictured_service(Path(folder)) as service,
    ):
        cookies = cache(lambda who: session(service, Path(folder), who))
        reported = cache(lambda name: study(service, Path(folder), name))
        for name in () if given.names else STUDIES:
            reported(name)  # all of them are in the worklist
        wanted = [picture for picture in pages(reported) if not given.names or picture.name in given.names]
        take(service, wanted, given.output, cookies)


@contextmanager
def pictured_service(folder: Path) -> Iterator[RunningService]:
    """With a destination that answers and one that does not, and a peer that was refused."""
    taken = [(sop_class, ExplicitVRLittleEndian) for sop_class in (ComprehensiveSRStorage, SegmentationStorage)]
    with running(Scp(), *taken) as pacs:
        destinations = [
            {
                "protocol": "dicom",
                "name": name,
                "host": "127.0.0.1",
                "port": port,
                "ae_title": "PACS",
                "kinds": ["comprehensive_sr", "seg"],
            }
            for name, port in (("pacs", pacs.port), ("archive", 1))
        ]
        settings = {"stable_age_seconds": "3600", "destinations": json.dumps(destinations)}
        with running_service(folder / "service", ready_seconds=_PATIENCE_SECONDS, **settings) as service:
            service.api.timeout = _PATIENCE_SECONDS
            be_refused(service)
            yield service


def be_refused(service: RunningService) -> None:
    """An association that offers what is not taken here."""
    entity = AE("CT_SCANNER")
    for offered in (CTImageStorage, Verification):
        entity.add_requested_context(offered)
    entity.associate("127.0.0.1", service.dicom_port, ae_title="SONOMYO").release()


def study(service: RunningService, folder: Path, name: str) -> str:
    """A simulated cine that is sent, analysed and reported; gives its Study Instance UID."""
    kind, seed, header = STUDIES[name]
    if name == "later calf":
        study(service, folder, "earlier calf")
    (path,) = simulate(kind, folder / name.replace(" ", "-"), seed=seed, transfer_syntax="jpeg")
    if header:
        cine = pydicom.dcmread(path)
        for keyword, value in header.items():
            setattr(cine, keyword, value)
        cine.save_as(path)
    uid = study_of(path)
    if service.api.get(f"/api/v1/studies/{uid}/report").status_code != httpx2.codes.OK:
        send(service, path)
        service.complete(uid)
        service.report(uid, timeout_seconds=_PATIENCE_SECONDS)
    return uid


def session(service: RunningService, folder: Path, who: Who) -> tuple[str, str]:
    """Name and value of the cookie of somebody with an account, which is made when it is missing."""
    kept = folder / "password"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_urlsafe(16))
        for login, full_name, role in _PERSONS:
            account = {"login": login, "full_name": full_name, "role": role, "password": kept.read_text()}
            service.api.post("/api/v1/users", json=account).raise_for_status()
    login = next(login for login, _, role in _PERSONS if role == who)
    with httpx2.Client(base_url=service.api.base_url, timeout=_PATIENCE_SECONDS) as client:
        client.post("/sign-in", data={"login": login, "password": kept.read_text()})
        return next((name, value) for name, value in client.cookies.items() if name.endswith("session"))


def take(service: RunningService, pictures: Iterable[Picture], output: Path, cookies: Callable[[Who], tuple[str, str]]) -> None:
    """Their files, from one tab after the other: pictures that follow each other and look alike share theirs."""
    address = f"http://127.0.0.1:{service.http_port}"
    for _, several in groupby(pictures, key=lambda one: (one.width, one.height, one.theme, one.language, one.is_webgl)):
        alike = list(several)
        look, drawing = alike[0], WEBGL if alike[0].is_webgl else PLAIN
        with tab(
            width=look.width, height=look.height, theme=look.theme, language=look.language, is_still=True, arguments=drawing
        ) as page:
            page.page.set_default_timeout(1000 * _PATIENCE_SECONDS)
            page.page.on("dialog", lambda dialog: dialog.accept())  # what is unsaved is left behind
            for picture in alike:
                page.page.context.clear_cookies()
                if picture.who != "nobody":
                    page.carry(*cookies(picture.who), address)
                page.page.goto(address + picture.path())
                picture.prepare(page)
                page.page.wait_for_timeout(500)  # for what moves into its place
                write(page, output / picture.name)


def write(page: Tab, path: Path) -> None:
    """As small as the documents want it."""
    # To hide the caret Playwright would put a style into the page, which its policy forbids.
    taken = Image.open(io.BytesIO(page.page.screenshot(caret="initial"))).convert("RGB")
    if path.suffix == ".jpg":
        for quality in (88, 80, 72, 64):
            taken.save(path, quality=quality, subsampling=0, optimize=True, progressive=True)
            if path.stat().st_size <= _LARGEST_BYTES:
                break
    else:
        taken.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(path, f"{size / 1000:.0f} kB", "TOO LARGE" if size > _LARGEST_BYTES else "", *page.problems, flush=True)
    page.problems.clear()


if __name__ == "__main__":
    main()
