"""The system calls of one C-STORE, seen by strace: sync the file, name it, sync the folder, commit, and only then answer."""

import re
import signal
import subprocess
from pathlib import Path

from tests.durability import process_of
from tests.e2e.test_main_path import calf, send
from tests.peers import peer
from tests.running import RunningService, poll

CALLS = "fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write"


def test_success_is_answered_only_after_sync_rename_sync_and_commit(service: RunningService, tmp_path: Path) -> None:
    path = calf(tmp_path, seed=4242, number_of_frames=2)
    listener = process_of(service, "listener")
    assert listener is not None
    trace = tmp_path / "trace"
    command = [peer("/usr/bin/strace"), "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(trace), "-p", str(listener.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        assert strace.stderr is not None
        assert b"attached" in strace.stderr.readline()
        send(service, path)
        poll(lambda: "rename" in trace.read_text(), timeout_seconds=10, what="the rename in the trace")
        strace.send_signal(signal.SIGINT)
    assert order_of(trace.read_text()) == ["sync file", "rename", "sync folder", "commit", "answer"]


def order_of(trace: str) -> list[str]:
    """The steps of the thread that stored the instance, from its last sync before the rename to its first answer after it."""
    (renaming,) = [line for line in trace.splitlines() if re.search(r"rename(at2?)?\(.*incoming.*instances/", line)]
    thread = renaming.split()[0]
    lines = [line for line in trace.splitlines() if line.split()[0] == thread]
    steps = [step for line in lines if (step := name_of(line)) is not None]
    at = steps.index("rename")
    return [*steps[:at][-1:], *steps[at : steps.index("answer", at) + 1]]


def name_of(line: str) -> str | None:
    """The step that one system call is; None for any other, such as the statements before the commit."""
    if re.search(r"f(data)?sync\(\d+<[^>]*incoming/", line):
        return "sync file"
    if re.search(r"rename(at2?)?\(.*incoming.*instances/", line):
        return "rename"
    if re.search(r"f(data)?sync\(\d+<[^>]*instances/[0-9a-f]{2}>", line):
        return "sync folder"
    if "COMMIT" in line:
        return "commit"
    # A P-DATA-TF PDU (PS3.8 9.3.5) to the peer: type 4, reserved 0.
    return "answer" if re.search(r'(sendto|sendmsg|write)\(\d+<(socket|TCP)[^>]*>, .{0,40}"\\4\\0', line) else None
