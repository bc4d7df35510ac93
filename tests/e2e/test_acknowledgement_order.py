"""The system calls of one C-STORE, seen by strace: sync the file, name it, sync the folder, commit, and only then answer."""

import re
import signal
import subprocess
from itertools import groupby
from pathlib import Path

import pydicom

from tests.durability import processes_of
from tests.e2e.sending import send
from tests.e2e.test_main_path import calf
from tests.peers import peer
from tests.running import RunningService, poll

CALLS = "fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write,recvfrom,recvmsg,read"

#: Patterns of the steps. PostgreSQL's ReadyForQuery with the status "idle" is sent only when the transaction is committed and
#: on the disk; the answer is a P-DATA-TF PDU (PS3.8 9.3.5) to the peer: type 4, reserved 0.
STEPS = (
    ("sync file", r"f(data)?sync\(\d+<[^>]*incoming/"),
    ("rename", r"rename(at2?)?\(.*incoming.*instances/"),
    ("sync folder", r"f(data)?sync\(\d+<[^>]*instances/[0-9a-f]{{2}}>"),
    ("answer", r'\b(sendto|sendmsg|write)\(\d+<(socket|TCP)[^>]*>, .{{0,40}}"\\4\\0'),
    ("row", r"\b(sendto|sendmsg|write)\(\d+<(socket|TCP|UNIX).*{uid}"),
    ("committed", r'\b(recvfrom|recvmsg|read)\(\d+<(socket|TCP|UNIX).*Z\\0\\0\\0\\5I"'),
)


def test_success_is_answered_only_after_sync_rename_sync_and_commit(service: RunningService, tmp_path: Path) -> None:
    path = calf(tmp_path, seed=4242, number_of_frames=2)
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
    listening = [f"--attach={process.pid}" for process in processes_of(service, "listener")]
    assert listening
    trace = tmp_path / "trace"
    options = ["-f", "-y", "-s", "16384", "-e", f"trace={CALLS}", "-o", str(trace)]
    command = [peer("/usr/bin/strace"), *options, *listening]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        assert strace.stderr is not None
        for _ in listening:
            assert b"attached" in strace.stderr.readline()
        send(service, path)
        poll(lambda: "rename" in trace.read_text(), timeout_seconds=10, what="the rename in the trace")
        strace.send_signal(signal.SIGINT)
    assert order_of(trace.read_text(), uid) == ["sync file", "rename", "sync folder", "row", "committed", "answer"]


def order_of(trace: str, uid: str) -> list[str]:
    """The steps of the thread that stored the instance, from its last sync before the rename to its first answer after it."""
    (renaming,) = [line for line in trace.splitlines() if re.search(r"rename(at2?)?\(.*incoming.*instances/", line)]
    thread = renaming.split()[0]
    lines = [line for line in trace.splitlines() if line.split()[0] == thread]
    steps = [step for line in lines if (step := name_of(line, uid)) is not None]
    at = steps.index("rename")
    row = steps.index("row", at)
    # What PostgreSQL answered before it had the row, such as that the connection lives, is no commit of it.
    before = [step for step in steps[at:row] if step != "committed"]
    kept = [*steps[:at][-1:], *before, *steps[row : steps.index("answer", at) + 1]]
    return [step for step, _ in groupby(kept)]


def name_of(line: str, uid: str) -> str | None:
    """The step that one system call is; None for any other."""
    for step, pattern in STEPS:
        if re.search(pattern.format(uid=re.escape(uid)), line):
            return step
    return None
