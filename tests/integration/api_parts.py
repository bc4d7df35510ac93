"""The HTTP edge over a real database, a real store and the real flow; only decoding and inference are stand-ins."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Self

import httpx2
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from sqlalchemy import Engine, text
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route, WebSocketRoute

from service.access import Person, Principal, Role
from service.adapters.access import ApiKeys, SignInLinks
from service.adapters.audit import PostgresAuditLog
from service.adapters.dead_letters import DeadLetters
from service.adapters.deliveries import Deliveries
from service.adapters.dicom_objects import PostgresDicomViews
from service.adapters.instance_store import FileInstanceStore
from service.adapters.job_queries import PostgresJobViews
from service.adapters.operation_queries import PostgresOperationViews
from service.adapters.passwords import Passwords
from service.adapters.queries import PostgresStudyViews
from service.adapters.upload_intake import UploadIntake
from service.adapters.user_sessions import LocalSessions
from service.adapters.users import LocalUsers
from service.adapters.usual_arrival import PostgresArrivals
from service.adapters.worklist_searches import PostgresWorklistSearches
from service.api.app import create_app
from service.api.dependencies import Model, Services
from service.api.events import EventFeed
from service.api.gate import AdministratorKey, SessionCookie, StoredKey, session_cookie_name
from service.api.instrumentation import Metrics
from service.api.limits import Limits
from service.api.live import LiveRoom
from service.api.readiness import Readiness
from service.api.serve import Networks, make_server
from service.core.analyses.analysis import Tensors
from service.core.cine import Pixels
from service.core.compose import Software
from service.core.delivery_rules import DeliveryRule
from service.core.dicom_syntaxes import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from service.core.findings import ModelUsed
from service.core.languages import LanguageTag
from service.core.live import Ask
from service.core.render import fhir
from service.core.report import Report, object_uid
from service.core.routing import RoutingRules
from service.destination_settings import DestinationSettings, DicomDestinationSettings
from service.dicomweb.routes import router as dicomweb
from service.dispatch import Dispatch
from service.errors import Unavailable
from service.explanation import Explainer
from service.flow import Flow
from service.logs import configure_logging
from service.operation_views import DiskState
from service.ports import CineReader, UnitOfWorkFactory
from service.publication import Renderer
from service.reaching import reach
from service.records import RenderedObject, StoredAnalysis, StoredInstance
from service.review import Review
from service.web.ohif import router as ohif
from service.web.pages import problem_page
from service.web.routes import router as pages
from service.web.static_files import static_files
from tests.fakes import FakeAnalysis, FakeDestination, FakeReader, FakeServer

ADMINISTRATOR_KEY = "an-administrators-key"
PASSWORD = "correct horse battery"
US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
EXPLICIT = "1.2.840.10008.1.2.1"
STUDY = "1.2.826.0.1.3680043.8.498.7"
PATIENT_NAME = "Canary^Иван"
MODEL = ModelUsed(name="muscle_segmentation", version="1", sha256="ab" * 32, evidence="real", runtime="openvino")


ANNA = Person(user_id="u-anna", full_name="Dr Anna Grau")
BERT = Person(user_id="u-bert", full_name="Dr Bert Weiß")


class PeopleByName:
    """Whoever says so is a person: stands in for accounts."""

    def __init__(self, *people: Person, role: Role = Role.RADIOLOGIST) -> None:
        self._people = {person.user_id: person for person in people}
        self._role = role

    def authenticate(self, connection: HTTPConnection) -> Principal | None:
        person = self._people.get(connection.headers.get("x-person", ""))
        if person is None:
            return None
        return Principal(name=f"user:{person.user_id}", role=self._role, kind="session", person=person)


def _no_network(_: Pixels) -> Tensors:
    raise Unavailable("There is no network.", reason="triton")


@dataclass
class House:
    """One app and what lies behind it."""

    engine: Engine
    units: UnitOfWorkFactory
    root: Path
    limits: Limits = field(default_factory=Limits)
    secure_cookies: bool = False
    public_url: str | None = None
    probes: dict[str, Callable[[], object]] = field(default_factory=dict)
    refusal: str | None = None
    maximum_object_bytes: int = 1 << 30
    reader: CineReader = field(default_factory=FakeReader)
    #: None: an SR that is none, in every report.
    renderers: Mapping[str, Renderer] | None = None
    destination_settings: tuple[DestinationSettings, ...] = (
        DicomDestinationSettings(name="pacs", host="127.0.0.1", port=104, ae_title="PACS"),
    )
    delivery_rules: tuple[DeliveryRule, ...] = ()
    #: Every analysis that they name is `analysis`.
    rules: RoutingRules = field(default_factory=RoutingRules)
    #: What the network answers to a live frame.
    ask: Ask = field(default=_no_network)
    analysis: FakeAnalysis = field(default_factory=FakeAnalysis)
    #: What this process logs meanwhile.
    log: StringIO = field(default_factory=StringIO)

    def __post_init__(self) -> None:
        self.destination = FakeDestination()
        self.store = FileInstanceStore(root=self.root)
        self.keys = ApiKeys(engine=self.engine)
        self.sign_ins = SignInLinks(engine=self.engine)
        # As little work as Argon2 allows: a test signs in often.
        passwords = Passwords(passes=1, memory_kib=64, lanes=1)
        self.users = LocalUsers(engine=self.engine, passwords=passwords)
        self.user_sessions = LocalSessions(engine=self.engine, passwords=passwords)
        self.flow = Flow(
            units=self.units,
            arrivals=PostgresArrivals(engine=self.engine),
            store=self.store,
            reader=self.reader,
            server=FakeServer(),
            analyses=dict.fromkeys((*(rule.analysis for rule in self.rules.rules), self.analysis.name), self.analysis),
            destinations={"pacs": self.destination},
            renderers={"sr": _render} if self.renderers is None else self.renderers,
            rules=self.rules,
            stable_age_seconds=60,
            software=Software(service_version="test"),
            delivery_rules=self.delivery_rules,
        )
        self.review = Review(
            units=self.units, publication=self.flow.publication, software=self.flow.software, organization="Test Hospital"
        )
        self.app = self._make_app()

    def __enter__(self) -> Self:
        self._handlers, self._level = logging.root.handlers[:], logging.root.level
        configure_logging(format="json", level="INFO", role="api", stream=self.log)
        return self

    def __exit__(self, *_: object) -> None:
        logging.root.handlers[:], logging.root.level = self._handlers, self._level
        structlog.reset_defaults()
        self.app.state.services.readiness.close()

    @contextmanager
    def served(self, port: int = 0, trusted_proxies: Networks = ()) -> Iterator[str]:
        """On a port of its own, for clients that are not ours; gives the address."""
        ready = threading.Event()
        server = make_server(self.app, host="127.0.0.1", port=port, ready=lambda _: ready.set(), trusted_proxies=trusted_proxies)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert ready.wait(30)
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.should_exit = True
            thread.join(30)

    def client(self, token: str | None = ADMINISTRATOR_KEY) -> TestClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return TestClient(self.app, headers=headers, follow_redirects=False, raise_server_exceptions=True)

    def reviewer(self, who: Person = ANNA) -> TestClient:
        """A client of somebody who is signed in to an account."""
        return TestClient(self.app, headers={"X-Person": who.user_id}, follow_redirects=False, raise_server_exceptions=True)

    def key(self, role: Role) -> str:
        return self.keys.create(name="test", role=role)

    def session(self, role: Role) -> TestClient:
        opened = self.sign_ins.open_session(self.sign_ins.create_link(role))
        assert opened is not None
        client = self.client(None)
        client.cookies.set(session_cookie_name(secure=self.secure_cookies), opened.token)
        return client

    def person(self, role: Role, login: str = "anna") -> TestClient:
        """A browser in which somebody has signed in to a new account."""
        self.users.add(login=login, full_name=f"Dr {login.title()} Kowalska", role=role, password=PASSWORD, actor="test")
        return self.signed_in(login)

    def signed_in(self, login: str = "anna", password: str = PASSWORD) -> TestClient:
        client = self.client(None)
        assert client.post("/sign-in", data={"login": login, "password": password}).status_code == 303
        return client

    def work(self) -> None:
        """Run the jobs that are due until none is left."""
        while (job := self._claim()) is not None:
            getattr(self.flow, job[1].removeprefix("sonomyo."))(**job[2])
            self._finish(job[0], "succeeded")

    def kill_job(self, task: str) -> int:
        """The next job of a task ends as a dead letter."""
        with self.engine.begin() as connection:
            query = "SELECT id FROM procrastinate_jobs WHERE task_name = :task AND status = 'todo' ORDER BY id LIMIT 1"
            job_id = int(connection.execute(text(query), {"task": f"sonomyo.{task}"}).scalar_one())
            connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = :id"), {"id": job_id})
        self._finish(job_id, "failed")
        return job_id

    def rows(self, statement: str) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(text(statement)).all()

    def _ask(self, image: Pixels) -> Tensors:
        return self.ask(image)

    def _claim(self) -> tuple[int, str, dict[str, Any]] | None:
        with self.engine.begin() as connection:
            row = connection.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = (SELECT id FROM procrastinate_jobs "
                    "WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()) ORDER BY id LIMIT 1) "
                    "RETURNING id, task_name, args"
                )
            ).one_or_none()
        return None if row is None else (row.id, row.task_name, row.args)

    def _finish(self, job_id: int, status: str) -> None:
        with self.engine.begin() as connection:
            statement = "UPDATE procrastinate_jobs SET status = CAST(:status AS procrastinate_job_status) WHERE id = :id"
            connection.execute(text(statement), {"id": job_id, "status": status})

    def _make_app(self) -> FastAPI:
        jobs, operations = PostgresJobViews(engine=self.engine), PostgresOperationViews(engine=self.engine)
        metrics = Metrics(counters=operations.counters)
        audit = PostgresAuditLog(engine=self.engine)
        intake = UploadIntake(
            store=self.store,
            save=self.flow.store_instance,
            gate=lambda: self.refusal,
            sop_classes=STORAGE_SOP_CLASSES,
            transfer_syntaxes=TRANSFER_SYNTAXES,
            maximum_object_bytes=self.maximum_object_bytes,
        )
        services = Services(
            studies=PostgresStudyViews(engine=self.engine),
            searches=PostgresWorklistSearches(engine=self.engine),
            dicom=PostgresDicomViews(engine=self.engine, store=self.store),
            jobs=jobs,
            operations=operations,
            steps=self.flow,
            review=self.review,
            dead_jobs=DeadLetters(engine=self.engine),
            deliveries=Deliveries(engine=self.engine),
            intake=intake,
            store=self.store,
            reader=self.reader,
            sign_ins=self.sign_ins,
            users=self.users,
            user_sessions=self.user_sessions,
            audit=audit,
            readiness=Readiness(probes=self.probes),
            metrics=metrics,
            events=EventFeed(jobs=jobs),
            live=LiveRoom(ask=self._ask, intake=intake, metrics=metrics, audit=audit),
            models=(Model(name=MODEL.name, version="1", analyses=("muscle_architecture",), describe=lambda: MODEL),),
            destinations=self.destination_settings,
            reach=partial(reach, calling_ae_title="SONOMYO"),
            disk=lambda: DiskState(free_bytes=3 << 30, total_bytes=10 << 30, reserve_bytes=1 << 30),
            render_page=_page,
            render_pdf=_pdf,
            fhir=fhir,
            explain=Explainer(
                units=self.units, rules=self.flow.rules, dispatch=Dispatch(self.flow.destinations, self.flow.delivery_rules)
            ).study,
            secure_cookies=self.secure_cookies,
            public_url=self.public_url,
        )
        schemes = (
            PeopleByName(ANNA, BERT),
            AdministratorKey(key=ADMINISTRATOR_KEY),
            StoredKey(keys=self.keys),
            SessionCookie(sessions=self.user_sessions, cookie_name=session_cookie_name(secure=self.secure_cookies)),
            SessionCookie(sessions=self.sign_ins, cookie_name=session_cookie_name(secure=self.secure_cookies)),
        )
        return create_app(
            services,
            schemes=schemes,
            version="test",
            routers=(pages, ohif, dicomweb),
            static=static_files(),
            problem_page=problem_page,
            limits=self.limits,
        )


def dicom_file(uid: str = "1.2.3", *, study: str = STUDY, frames: int = 3, grey: int = 7, **changes: Any) -> bytes:
    """An uncompressed cine of 8x8 pixels as a DICOM file; frame n holds the grey level `grey` + n."""
    return as_file(dicom_dataset(uid, study=study, frames=frames, grey=grey, **changes))


def dicom_dataset(uid: str = "1.2.3", *, study: str = STUDY, frames: int = 3, grey: int = 7, **changes: Any) -> Dataset:
    """The same before it is written."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = US_MULTI_FRAME, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.Modality, dataset.PatientID, dataset.PatientName = "US", "P1", PATIENT_NAME
    dataset.AccessionNumber, dataset.StudyDate, dataset.StudyDescription = "A1", "20261120", "Calf"
    dataset.Rows = dataset.Columns = 8
    dataset.NumberOfFrames, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = frames, 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = b"".join(bytes([grey + number]) * 64 for number in range(1, frames + 1))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def as_file(dataset: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def upload(client: httpx2.Client, *files: bytes) -> httpx2.Response:
    parts = [("files", (f"{number}.dcm", content, "application/dicom")) for number, content in enumerate(files)]
    return client.post("/api/v1/studies", files=parts)


def reported(house: House) -> httpx2.Client:
    """A client on a study whose first report is there."""
    client = house.client()
    upload(client, dicom_file()).raise_for_status()
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()
    return client


def _render(report: Report, instances: Sequence[StoredInstance], _: Sequence[StoredAnalysis]) -> list[RenderedObject]:
    made = RenderedObject(
        sop_instance_uid=object_uid(report.report_id, report.version, "sr"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        kind="sr",
        report_id=report.report_id,
        media_type="application/dicom",
        content=f"SR of version {report.version} over {len(instances)}".encode(),
    )
    return [made]


def _page(report: Report, pictures: Mapping[str, bytes], language: LanguageTag) -> str:
    return f"<!doctype html><title>Report</title><p>version {report.version}, {len(pictures)} pictures, {language}</p>"


def _pdf(report: Report, pictures: Mapping[str, bytes], language: LanguageTag) -> bytes:
    return f"%PDF in {language} of version {report.version}, {len(pictures)} pictures".encode()


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every method and path template that the app answers."""
    return [(method, route.path) for route in _flatten(app.routes) for method in sorted(route.methods or ())]


def _flatten(routes: Iterable[Any]) -> Iterator[Route]:
    """Routes in included routers too; the app's own document of itself leaves some out, so it is not asked."""
    for route in routes:
        if isinstance(route, Route):
            yield route
        elif not isinstance(route, Mount | WebSocketRoute):
            yield from _flatten(route.original_router.routes)
