"""What the decoder's process may not do, whatever a file makes of it."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from service.adapters.cine_decoder import FileCineReader
from tests.cine_files import (
    header_of,
    speckle,
    write_native,
)
from tests.running import decoders

FRAMES, ROWS, COLUMNS = 5, 40, 56


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cine.dcm"


def test_decoder_cannot_open_files_start_programs_or_make_sockets(tmp_path: Path) -> None:
    code = (
        "from service.adapters.decoder_sandbox import enter_sandbox\n"
        "import os, socket, subprocess\n"
        "enter_sandbox(memory_bytes=1 << 30)\n"
        "tries = [lambda: open('/etc/hostname'), lambda: open('x', 'w'), socket.socket, os.fork,\n"
        "  lambda: os.execv('/bin/true', ['true']), lambda: os.unlink('victim'), lambda: bytearray(1 << 30)]\n"
        "for attempt in tries:\n"
        "    try:\n        attempt()\n"
        "    except (OSError, MemoryError) as error:\n        print(type(error).__name__)\n"
        "    else:\n        print('done')\n"
        "print(os.geteuid())\n"
    )
    (tmp_path / "victim").touch()
    *outcomes, user = run_alone(code, tmp_path)
    assert outcomes == ["PermissionError"] * 6 + ["MemoryError"]
    assert user != "0"
    assert (tmp_path / "victim").exists()


def run_alone(code: str, folder: Path) -> list[str]:
    """Lines that the program prints."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=True).stdout.splitlines()


#: x86-64 numbers of calls that reach other processes, change files or enlarge the kernel's surface.
REFUSED_CALLS = """
    kill=62 rt_sigqueueinfo=129 tkill=200 tgkill=234 rt_tgsigqueueinfo=297 pidfd_send_signal=424 pidfd_open=434
    pidfd_getfd=438 process_vm_readv=310 process_vm_writev=311 ptrace=101 setrlimit=160 chmod=90 fchmod=91 fchmodat=268
    fchmodat2=452 chown=92 fchown=93 lchown=94 fchownat=260 truncate=76 ftruncate=77 fallocate=285 utimensat=280
    fsetxattr=190 ioctl=16 shmget=29 shmat=30 shmctl=31 semget=64 msgget=68 mq_open=240 memfd_create=319 fcntl=72
    perf_event_open=298 bpf=321 userfaultfd=323 io_uring_setup=425 keyctl=250 add_key=248 mount=165 umount2=166
    move_mount=429 fsopen=430 unshare=272 setns=308 chroot=161 setuid=105 setresuid=117 sched_setaffinity=203
    setpriority=141 mknod=133 sendmsg=46
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for x86-64")
def test_decoder_cannot_signal_others_or_change_files_or_reach_the_kernels_odd_corners(tmp_path: Path) -> None:
    code = (
        "from service.adapters.decoder_sandbox import enter_sandbox, limit_cpu\n"
        "import ctypes, os, resource\n"
        "library = ctypes.CDLL(None, use_errno=True)\n"
        "print(enter_sandbox(memory_bytes=1 << 30))\n"
        f"for call in {REFUSED_CALLS.split()}:\n"
        "    number = int(call.partition('=')[2])\n"
        "    if library.syscall(number, -1, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1:\n        print(call)\n"
        "for process, kind in ((os.getppid(), resource.RLIMIT_CPU), (0, resource.RLIMIT_NOFILE)):\n"
        "    try:\n        resource.prlimit(process, kind, (9, 9))\n"
        "    except PermissionError:\n        print('refused')\n"
        "limit_cpu(7)\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU)[0] < 20)\n"
    )
    assert run_alone(code, tmp_path) == ["True", "refused", "refused", "True"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for x86-64")
def test_filter_holds_for_threads_that_were_there_before_it(tmp_path: Path) -> None:
    code = (
        "from service.adapters.decoder_sandbox import enter_sandbox\n"
        "import threading\n"
        "go = threading.Event()\n"
        "def attempt():\n"
        "    go.wait()\n"
        "    try:\n        open('/etc/hostname')\n"
        "    except PermissionError:\n        print('refused')\n"
        "thread = threading.Thread(target=attempt)\n"
        "thread.start()\n"
        "enter_sandbox(memory_bytes=1 << 30)\n"
        "go.set()\n"
        "thread.join()\n"
    )
    assert run_alone(code, tmp_path) == ["refused"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for x86-64")
def test_decoder_whose_kernel_takes_no_filter_decodes_and_is_warned_of_once(path: Path) -> None:
    pixels = speckle(2, 16, 16)
    write_native(path, header_of(pixels), pixels.tobytes())
    code = (
        "import ctypes, logging, struct\n"
        "logging.basicConfig(format='%(levelname)s %(message)s', stream=__import__('sys').stdout)\n"
        # A filter of our own in which seccomp(2) is refused, as an old kernel or a container's profile does.
        "steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 317), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]\n"
        "program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps), 32)\n"
        "pointer = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 4, ctypes.addressof(program)), 16)\n"
        "library = ctypes.CDLL(None)\n"
        "assert library.prctl(38, 1, 0, 0, 0) == 0 and library.prctl(22, 2, pointer) == 0\n"
        "from pathlib import Path\n"
        "from service.adapters.cine_decoder import FileCineReader\n"
        "reader = FileCineReader(files_per_decoder=1)\n"
        "for _ in range(2):\n"
        f"    with reader.open(Path({str(path)!r})) as cine:\n        print(sum(1 for _ in cine.frames()))\n"
        "reader.close()\n"
    )
    assert run_alone(code, path.parent) == ["WARNING decoder_without_system_call_filter", "2", "2"]


def test_secrets_of_the_worker_do_not_reach_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOMYO_API__KEY", "canary-in-the-environment")
    reader = FileCineReader().warm()
    environments = [process.environ() for process in decoders()]
    reader.close()
    assert environments
    assert not any("canary" in value for environment in environments for value in environment.values())
