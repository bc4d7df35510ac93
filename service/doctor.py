"""`sonomyo doctor`: looks at everything that the service rests on, and says what to mend. It changes nothing."""

import http.client
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import text

from service.access import HOW_TO_ADD_AN_ACCOUNT
from service.adapters.audit import PostgresAuditLog
from service.adapters.listener_sockets import bind_socket, listens_beyond_loopback, server_context
from service.adapters.migrations import check_revision
from service.adapters.passwords import Passwords
from service.adapters.postgres import vendor_errors_translated
from service.adapters.store_association import Peer
from service.adapters.store_scu import echo
from service.adapters.users import LocalUsers
from service.bootstrap import Service
from service.core.analyses.analysis import ModelSpec
from service.destination_settings import DestinationSettings
from service.errors import SonomyoError, Unavailable
from service.reaching import reach
from service.settings import Settings

_ECHO_SECONDS = 5.0
_HTTP_SECONDS = 5.0
_STUCK = text(
    "SELECT destination, state, count(*) FROM deliveries WHERE state IN ('failed', 'refused') GROUP BY 1, 2 ORDER BY 1, 2"
)
_PAUSED = text("SELECT destination FROM destination_circuits WHERE retry_at IS NOT NULL ORDER BY 1")
_DEAD = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found when it is well, what to mend when it is not."""

    name: str
    ok: bool
    advice: str


#: Gives what was found; raises with what to mend.
Examination = Callable[[], str]


def examine(service: Service) -> Sequence[Check]:
    """Every check, those that wait for others side by side, in the order in which one mends."""
    examinations = list(_examinations(service))
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="doctor") as pool:
        return list(pool.map(lambda each: _judge(*each), examinations))


def _examinations(service: Service) -> Iterator[tuple[str, Examination]]:
    settings = service.settings
    yield "routing rules", partial(_routing, service)
    yield "secrets", partial(_secrets, settings)
    yield "DICOM access", partial(_dicom_access, settings)
    yield "HTTP access", partial(_http_access, settings)
    yield f"DICOM port {settings.dicom.port}", partial(_dicom_port, settings)
    if settings.dicom.tls_port is not None:
        yield f"DICOM TLS port {settings.dicom.tls_port}", partial(_tls_port, settings)
    yield f"HTTP port {settings.http.port}", partial(_http_port, settings)
    yield "data folder", partial(_folder, settings.data_dir)
    yield "instance store", partial(_store, service)
    yield "database", partial(_database, service)
    yield "accounts", partial(_accounts, service)
    yield "queue", partial(_queue, service)
    yield "deliveries", partial(_deliveries, service)
    yield "audit trail", partial(_audit, service)
    for spec in service.models:
        yield f"model {spec.model_name}", partial(_model, service, spec)
    for destination in settings.destinations:
        yield f"destination {destination.name}", partial(_destination, settings, destination)


def _judge(name: str, examination: Examination) -> Check:
    try:
        return Check(name, ok=True, advice=examination())
    except SonomyoError as error:
        return Check(name, ok=False, advice=str(error))
    except (OSError, ValueError) as error:
        return Check(name, ok=False, advice=f"{error.strerror or error}" if isinstance(error, OSError) else str(error))
    except Exception as error:  # noqa: BLE001 - one check that fails in a new way must not hide the others; its words may hold a name
        return Check(name, ok=False, advice=f"internal error: {type(error).__name__}")


def _routing(service: Service) -> str:
    rules = service.rules
    titles = f"{len(rules.analysis_ae_titles)} AE titles that select an analysis"
    return f"{len(rules.rules)} rules, {titles}, {len(rules.delivery_rules)} delivery rules"


def _secrets(settings: Settings) -> str:
    for name, path in (
        ("SONOMYO_DATABASE__URL_FILE", settings.database.url_file),
        ("SONOMYO_API__KEY_FILE", settings.api.key_file),
    ):
        if path is None:
            continue
        if not path.read_text(encoding="utf-8").strip():
            raise Unavailable(f"{name}: {path} is empty.")
        if path.stat().st_mode & 0o022:
            raise Unavailable(f"{name}: anybody may change {path}; chmod go-w {path}")
    return "readable" if settings.database.url_file or settings.api.key_file else "none by file"


def _dicom_access(settings: Settings) -> str:
    dicom = settings.dicom
    server_context(dicom)
    if not listens_beyond_loopback(dicom.host):
        return f"{dicom.host}: this machine only"
    if not dicom.allowed_peers:
        raise Unavailable(
            "Any machine that reaches the port may send: set SONOMYO_DICOM__ALLOWED_PEERS, and DICOM TLS where it counts."
        )
    return f"{dicom.host}: {len(dicom.allowed_peers)} peers allowed"


def _http_access(settings: Settings) -> str:
    http = settings.http
    if listens_beyond_loopback(http.host) and not http.secure_cookies:
        raise Unavailable(
            "It is reached from other machines without TLS: put a TLS proxy before it and set SONOMYO_HTTP__SECURE_COOKIES=true."
        )
    where = f"{http.host}: behind a TLS proxy" if http.secure_cookies else f"{http.host}: this machine only"
    if http.secure_cookies and not http.trusted_proxies:
        return f"{where}; name it in SONOMYO_HTTP__TRUSTED_PROXIES, or failed sign-ins of all who come by it are counted together"
    return where


def _dicom_port(settings: Settings) -> str:
    dicom = settings.dicom
    if _is_free(dicom.host, dicom.port):
        return "free: the listener does not run"
    peer = Peer(host=_reachable(dicom.host), port=dicom.port, ae_title=dicom.ae_title, timeout_seconds=_ECHO_SECONDS)
    try:
        echo(peer)
    except Unavailable as error:
        if error.reason == "association_rejected":
            return "a DICOM service answers, and the allow-list does not hold this machine"
        raise Unavailable(
            f"Another program holds it, or the listener hangs: it does not answer C-ECHO as {dicom.ae_title}."
            " End it, or set SONOMYO_DICOM__PORT."
        ) from error
    return f"the listener answers C-ECHO as {dicom.ae_title}"


def _tls_port(settings: Settings) -> str:
    port = settings.dicom.tls_port
    assert port is not None  # noqa: S101 - for the type checker: asked only when set
    return "free: the listener does not run" if _is_free(settings.dicom.host, port) else "in use"


def _http_port(settings: Settings) -> str:
    if _is_free(settings.http.host, settings.http.port):
        return "free: the API does not run"
    connection = http.client.HTTPConnection(_reachable(settings.http.host), settings.http.port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", "/healthz")
        found = json.loads(connection.getresponse().read(1 << 16))
        return f"the API answers, version {found['service_version']}"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Unavailable("Another program holds it, or the API hangs. End it, or set SONOMYO_HTTP__PORT.") from error
    finally:
        connection.close()


def _folder(folder: Path) -> str:
    if not folder.exists():
        return f"{folder} will be made at the first start"
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"probe")
        probe.flush()
        os.fsync(probe.fileno())
    return f"{folder} can be written"


def _store(service: Service) -> str:
    settings, store = service.settings, service.store
    _folder(store.root)
    free, reserve = store.free_bytes(), settings.store.reserve_bytes
    if free < reserve:
        raise Unavailable(
            f"{free >> 20} MiB are free, below the reserve of {reserve >> 20} MiB: C-STORE answers 0xA700."
            " Free it, or let retention do so: SONOMYO_RETENTION__MINIMUM_FREE_FRACTION, SONOMYO_RETENTION__MAXIMUM_AGE_DAYS."
        )
    total = os.statvfs(store.root).f_blocks * os.statvfs(store.root).f_frsize
    fraction = settings.retention.minimum_free_fraction
    if fraction is not None and fraction * total < reserve:
        raise Unavailable(
            f"Retention begins at {int(fraction * total) >> 20} MiB free, below the reserve of {reserve >> 20} MiB, where C-STORE"
            " is refused already: raise SONOMYO_RETENTION__MINIMUM_FREE_FRACTION."
        )
    return f"{free >> 20} MiB free, {reserve >> 20} MiB kept in reserve"


def _database(service: Service) -> str:
    check_revision(service.engine)
    with vendor_errors_translated(), service.engine.connect() as connection:
        version: str = connection.execute(text("SHOW server_version")).scalar_one()
    return f"PostgreSQL {version}, at this version's revision"


def _accounts(service: Service) -> str:
    """None is no trouble: programs have keys. But a person needs one to sign."""
    users = LocalUsers(engine=service.engine, passwords=Passwords()).list()
    enabled = sum(user.disabled_at is None for user in users)
    return f"{enabled} of {len(users)} may sign in" if enabled else f"none can sign in; {HOW_TO_ADD_AN_ACCOUNT}"


def _queue(service: Service) -> str:
    with vendor_errors_translated(), service.engine.connect() as connection:
        dead: int = connection.execute(_DEAD).scalar_one()
    if dead:
        raise Unavailable(
            f"{dead} dead letters: see GET /api/v1/jobs?state=dead, mend the cause, then POST /api/v1/jobs/{{id}}/requeue."
        )
    return "no dead letters"


def _deliveries(service: Service) -> str:
    with vendor_errors_translated(), service.engine.connect() as connection:
        stuck = [f"{count} {state} to {destination}" for destination, state, count in connection.execute(_STUCK)]
        paused = [destination for (destination,) in connection.execute(_PAUSED)]
    if stuck:
        raise Unavailable(f"{'; '.join(stuck)}: see GET /api/v1/deliveries?state=...; each can be sent again or given up.")
    if paused:
        raise Unavailable(f"{', '.join(paused)} did not answer: what waits goes when it does; see GET /api/v1/destinations.")
    return "none failed, none refused, no destination paused"


def _audit(service: Service) -> str:
    broken = PostgresAuditLog(engine=service.engine).first_broken()
    if broken is not None:
        raise Unavailable(
            f"Entry {broken} does not follow from the one before it: somebody changed the table; keep a backup of it."
        )
    return "the chain holds"


def _model(service: Service, spec: ModelSpec) -> str:
    service.server.check([spec])
    used = service.server.describe(spec)
    return f"version {used.version} serves, evidence {used.evidence}"


def _destination(settings: Settings, destination: DestinationSettings) -> str:
    return f"{destination.address} {reach(destination, calling_ae_title=settings.dicom.ae_title)}"


def _is_free(host: str, port: int) -> bool:
    try:
        bind_socket(host, port).close()
    except OSError:
        return False
    return True


def _reachable(host: str) -> str:
    """An address to call when the service listens on all of them."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
