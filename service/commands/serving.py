"""The API's process: the parts of the service behind one port, until SIGTERM."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_address

from fastapi import FastAPI

from service.adapters.access import ApiKeys, SignInLinks
from service.adapters.audit import PostgresAuditLog
from service.adapters.dead_letters import DeadLetters
from service.adapters.deliveries import Deliveries
from service.adapters.dicom_objects import PostgresDicomViews
from service.adapters.gate import make_gate
from service.adapters.job_queries import PostgresJobViews
from service.adapters.migrations import check_revision
from service.adapters.operation_queries import PostgresOperationViews
from service.adapters.passwords import Passwords
from service.adapters.queries import PostgresStudyViews
from service.adapters.upload_intake import UploadIntake
from service.adapters.user_sessions import LocalSessions
from service.adapters.users import LocalUsers
from service.adapters.worklist_searches import PostgresWorklistSearches
from service.api.app import create_app
from service.api.dependencies import Model, Services
from service.api.events import EventFeed
from service.api.gate import AdministratorKey, Scheme, SessionCookie, StoredKey, session_cookie_name
from service.api.instrumentation import Metrics
from service.api.limits import Limits
from service.api.live import LiveRoom
from service.api.readiness import Readiness
from service.api.serve import serve
from service.bootstrap import Service, service_version
from service.core.analyses.analysis import ModelSpec, Tensors
from service.core.analyses.wrist_hand import MODEL as WRIST_HAND
from service.core.cine import Pixels
from service.core.dataset_scan import DEFLATED_EXPLICIT
from service.core.dicom_syntaxes import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from service.core.findings import ModelUsed
from service.dicomweb.routes import router as dicomweb
from service.errors import Unavailable
from service.operation_views import DiskState
from service.reaching import reach
from service.web.ohif import router as ohif
from service.web.pages import problem_page
from service.web.routes import router as pages
from service.web.static_files import static_files

_log = logging.getLogger("sonomyo.api")
#: Somebody waits for a live frame: it goes before those of an analysis.
_LIVE = replace(WRIST_HAND, priority=1)


def run_api(service: Service) -> None:
    """Run until SIGINT or SIGTERM. Raises Conflict when the port is taken."""
    http = service.settings.http
    if not http.secure_cookies and not _is_loopback(http.host):
        _log.warning("http_without_tls", extra={"advice": "put a TLS proxy before it and set SONOMYO_HTTP__SECURE_COOKIES=true"})
    app = make_app(service)
    service.reader.warm()  # or whoever opens the first cine after a start would wait for a decoder's imports
    serve(
        app,
        host=http.host,
        port=http.port,
        ready=lambda port: _log.info("api_ready", extra={"port": port}),
        trusted_proxies=http.trusted_proxies,
    )


def make_app(service: Service) -> FastAPI:
    """The application over live objects; nothing is connected before the first request."""
    settings, services = service.settings, make_services(service)
    return create_app(
        services,
        schemes=_schemes(service, services),
        version=service_version(),
        routers=(pages, ohif, dicomweb),
        static=static_files(),
        problem_page=problem_page,
        limits=Limits(maximum_upload_bytes=settings.http.maximum_upload_bytes),
        threads=max(4, settings.database.pool_size - 4),
    )


def make_services(service: Service) -> Services:
    """Everything behind the HTTP edge."""
    engine = service.engine
    jobs, operations = PostgresJobViews(engine=engine), PostgresOperationViews(engine=engine)
    metrics, intake = Metrics(counters=operations.counters), _intake(service)
    audit = PostgresAuditLog(engine=engine)
    # One for both: it bounds how many passwords are hashed at a time.
    passwords = Passwords()
    return Services(
        studies=PostgresStudyViews(engine=engine),
        searches=PostgresWorklistSearches(engine=engine),
        dicom=PostgresDicomViews(engine=engine, store=service.store),
        jobs=jobs,
        operations=operations,
        steps=service.flow,
        review=service.review,
        dead_jobs=DeadLetters(engine=engine),
        deliveries=Deliveries(engine=engine),
        intake=intake,
        store=service.store,
        reader=service.reader,
        sign_ins=SignInLinks(engine=engine),
        users=LocalUsers(engine=engine, passwords=passwords),
        user_sessions=_user_sessions(service, passwords),
        audit=audit,
        readiness=Readiness(probes=_probes(service)),
        metrics=metrics,
        events=EventFeed(jobs=jobs),
        live=LiveRoom(ask=partial(_ask_live, service), intake=intake, metrics=metrics, audit=audit),
        models=_models(service),
        destinations=service.settings.destinations,
        reach=partial(reach, calling_ae_title=service.settings.dicom.ae_title),
        disk=partial(_disk, service),
        render_page=service.rendering.html,
        render_pdf=service.rendering.pdf,
        fhir=service.rendering.fhir,
        explain=service.explainer.study,
        secure_cookies=service.settings.http.secure_cookies,
        public_url=service.settings.http.public_url,
        language=service.settings.language,
    )


def _user_sessions(service: Service, passwords: Passwords) -> LocalSessions:
    http = service.settings.http
    return LocalSessions(
        engine=service.engine,
        passwords=passwords,
        idle_life=timedelta(seconds=http.session_idle_seconds),
        life=timedelta(seconds=http.session_seconds),
    )


def _disk(service: Service) -> DiskState:
    found = os.statvfs(service.store.root)
    total, reserve = found.f_blocks * found.f_frsize, service.settings.store.reserve_bytes
    return DiskState(free_bytes=service.store.free_bytes(), total_bytes=total, reserve_bytes=reserve)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _schemes(service: Service, services: Services) -> Sequence[Scheme]:
    """Who may ask, cheapest first."""
    api, http = service.settings.api, service.settings.http
    key = api.key.get_secret_value() if api.key is not None else None
    if key is None and api.key_file is not None:
        key = api.key_file.read_text(encoding="utf-8").strip()
    cookie = session_cookie_name(secure=http.secure_cookies)
    stored = (
        StoredKey(keys=ApiKeys(engine=service.engine)),
        SessionCookie(sessions=services.user_sessions, cookie_name=cookie),
        SessionCookie(sessions=services.sign_ins, cookie_name=cookie),
    )
    return (AdministratorKey(key=key), *stored) if key else stored


def _intake(service: Service) -> UploadIntake:
    dicom = service.settings.dicom
    return UploadIntake(
        store=service.store,
        save=service.flow.store_instance,
        gate=_gate(service),
        sop_classes=(*STORAGE_SOP_CLASSES, *dicom.private_sop_classes),
        transfer_syntaxes=(*TRANSFER_SYNTAXES, DEFLATED_EXPLICIT) if dicom.accept_deflated else TRANSFER_SYNTAXES,
        maximum_object_bytes=dicom.maximum_object_bytes,
        maximum_inflated_bytes=dicom.maximum_object_bytes if dicom.accept_deflated else None,
    )


def _gate(service: Service) -> Callable[[], str | None]:
    settings = service.settings
    return make_gate(
        engine=service.engine,
        free_bytes=service.store.free_bytes,
        reserve_bytes=settings.store.reserve_bytes,
        maximum_queued_jobs=settings.worker.maximum_queued_jobs,
    )


def _probes(service: Service) -> Mapping[str, Callable[[], object]]:
    """What must be there: the database at this version's revision, room in the store, each model by its name."""
    models = {f"model {spec.model_name}": partial(_check_model, service, spec) for spec in service.models}
    return {"database": lambda: check_revision(service.engine), "storage": lambda: _check_storage(service), **models}


def _describe_model(service: Service, spec: ModelSpec) -> ModelUsed:
    return service.server.describe(spec)


def _ask_live(service: Service, image: Pixels) -> Tensors:
    (answer,) = service.server.infer(_LIVE, [{"image": image}])
    return answer


def _check_model(service: Service, spec: ModelSpec) -> None:
    service.server.check([spec])


def _check_storage(service: Service) -> None:
    free, reserve = service.store.free_bytes(), service.settings.store.reserve_bytes
    if free < reserve:
        raise Unavailable(f"The store's disk has {free >> 20} MiB left, below the reserve of {reserve >> 20} MiB.")


def _models(service: Service) -> Sequence[Model]:
    return tuple(
        Model(
            name=spec.model_name,
            version=spec.model_version,
            analyses=[name for name, analysis in service.analyses.items() if spec in analysis.models],
            describe=partial(_describe_model, service, spec),
        )
        for spec in service.models
    )
