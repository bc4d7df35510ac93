"""Which system user PostgreSQL runs as, and where it sees its folder: it refuses root, and root's folders are often closed.

An ordinary user runs it as himself. Root hands its folder to a user id that no account uses; where a parent folder is closed to
that id (root's home), the server gets a private mount of its folder instead, and no permission of the user's is changed.
"""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from service.embedded.processes import Command, run_to_end
from service.errors import Unavailable

#: In the range that Debian policy 9.2.2 leaves to nobody (60000-64999 is given out one by one, and this is not).
UNUSED_UID = 64711
#: Inside the server's own mounts (launch.py makes them), so the same path serves every server and nobody else sees it.
PRIVATE_VIEW = Path("/mnt/sonomyo-postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`uid` is None for the present user. `view` is the path under which the server sees the folder; `binds` make it so."""

    uid: int | None
    view: Path
    binds: tuple[tuple[Path, Path], ...] = ()


def choose_account(folder: Path) -> Account:
    """Make `folder` (mode 0700, ours alone) and choose who serves it. Raises Unavailable when root's server cannot get to it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if os.geteuid() != 0:
        return Account(uid=None, view=folder)
    uid = folder.stat().st_uid or UNUSED_UID
    os.chown(folder, uid, uid)
    closed = closed_parent(folder, uid)
    if closed is None:
        return Account(uid=uid, view=folder)
    account = Account(uid=uid, view=PRIVATE_VIEW, binds=((folder, PRIVATE_VIEW),))
    _check_mount(account, closed)
    return account


def make_data_folder(folder: Path) -> None:
    """Make the folder that holds everything, closed to others; one that is there keeps its mode.

    Where root may not mount, its PostgreSQL must pass through: then others may pass too, and still see no names.
    """
    if folder.exists():
        return
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    if os.geteuid() == 0:
        inner = folder / "postgres"
        try:
            choose_account(inner)
        except Unavailable:
            folder.chmod(0o711)


def closed_parent(path: Path, uid: int) -> Path | None:
    """The outermost parent folder that user `uid` (in no groups but its own) may not pass through; None when the way is open."""
    for parent in reversed(path.parents):
        status = parent.stat()
        if status.st_uid == uid:
            needed = stat.S_IXUSR
        elif status.st_gid == uid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return parent
    return None


def readable_copy(source: Path, target: Path, uid: int) -> Path:
    """A copy of a folder of programs that `uid` may read and execute; made once, whole or not at all."""
    if target.exists():
        return target
    unfinished = target.with_name(target.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, symlinks=True)
    hand_over(unfinished, uid)
    unfinished.rename(target)
    return target


def hand_over(folder: Path, uid: int) -> None:
    """Give a folder and everything in it to `uid`."""
    for parent, _, names in os.walk(folder):
        os.lchown(parent, uid, uid)
        for name in names:
            os.lchown(Path(parent, name), uid, uid)


def _check_mount(account: Account, closed: Path) -> None:
    try:
        run_to_end(Command(arguments=["/bin/ls", str(account.view)], uid=account.uid, binds=account.binds))
    except Unavailable as error:
        raise Unavailable(
            f"PostgreSQL refuses to run as root, and the user that it runs as instead (uid {account.uid}) may not pass through"
            f" {closed}. Start Sonomyo as an ordinary user, choose another data folder (SONOMYO_DATA_DIR), or open the way with:"
            f" chmod o+x {closed}",
            reason="data_folder_closed",
        ) from error
