"""Becomes another program, after arranging what only the child itself can; `processes.py` runs this file, without site-packages.

    python -I -S launch.py --parent PID [--death-signal N] [--niceness N] [--uid N] [--bind SOURCE TARGET]...
                           -- PROGRAM ARGUMENTS...

In order: mounts in a namespace of its own (root only, so that an unprivileged server can reach a folder whose parents are closed
to it), gives up root, asks the kernel for a signal when the supervisor dies, and executes the program.
"""

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x20000
#: Hidden by a small private file system that holds the mount points: a folder that others see could be removed by them, and a
#: mount goes with its folder.
PRIVATE_ROOT = "/mnt"
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


def main(arguments: Sequence[str]) -> None:
    """Replace this process by the program. Exits 71 with one line when the system refuses."""
    options, program = _parse(arguments)
    try:
        if options.bind:
            _enter_mount_namespace(options.bind)
        if options.uid is not None:
            _give_up_root(options.uid)
        os.nice(options.niceness)
        _die_with_parent(options.parent, options.death_signal)
        os.execv(program[0], program)  # noqa: S606 - the supervisor composed the command; there is no shell
    except OSError as error:
        sys.exit(_failed(f"cannot start {program[0]}: {error}"))


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    split = list(arguments).index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=9)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--niceness", type=int, default=0)
    parser.add_argument("--bind", nargs=2, action="append", default=[])
    return parser.parse_args(arguments[:split]), list(arguments[split + 1 :])


def _enter_mount_namespace(binds: Sequence[Sequence[str]]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.unshare(CLONE_NEWNS), "unshare")
    _checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount / private")
    sources = [os.open(source, os.O_PATH) for source, _ in binds]  # before one of them may be hidden
    _checked(libc.mount(b"tmpfs", PRIVATE_ROOT.encode(), b"tmpfs", 0, b"size=64k,mode=0755"), f"mount {PRIVATE_ROOT}")
    for source, (_, target) in zip(sources, binds, strict=True):
        Path(target).mkdir(parents=True, exist_ok=True)
        origin = f"/proc/self/fd/{source}".encode()
        _checked(libc.mount(origin, os.fsencode(target), None, MS_BIND | MS_REC, None), f"mount {target}")
        os.close(source)


def _checked(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _give_up_root(uid: int) -> None:
    os.chdir("/")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _die_with_parent(parent: int, death_signal: int) -> None:
    """After the change of user, which clears the request. The parent may have died before the request: then leave at once."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(_failed("the supervisor is gone"))


def _failed(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 71


if __name__ == "__main__":
    main(sys.argv[1:])
