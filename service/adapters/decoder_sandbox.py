"""What the decoder process gives up before it reads a stranger's file: memory, files, network, privileges.

Limits by setrlimit(2); on x86-64 a seccomp filter besides (seccomp(2)): no file can be opened, no program started, no
socket made. What it needs is already open and loaded by then.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct

_OPEN_FILES = 64
_NOBODY = 65534
#: Anonymous memory as a part of the address space: libraries and stacks need the rest.
_DATA_PART = 3 / 8

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_AUDIT_ARCH_X86_64 = 0xC000003E
_FIRST_X32_NUMBER = 0x40000000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # SECCOMP_RET_ERRNO with EPERM, ENOSYS
_NUMBER_OFFSET, _ARCH_OFFSET, _FIRST_ARGUMENT_OFFSET = 0, 4, 16
#: Threads are made by clone(2) with this flag; clone3 hides its flags from the filter, and libc does without it.
_CLONE, _CLONE3, _CLONE_THREAD = 56, 435, 0x00010000

#: x86-64 system call numbers that a decoder has no use for.
_REFUSED_CALLS = (
    *(2, 85, 257, 437),  # open, creat, openat, openat2
    *(41, 42, 43, 49, 50, 288),  # socket, connect, accept, bind, listen, accept4
    *(57, 58, 59, 322),  # fork, vfork, execve, execveat
    *(82, 83, 84, 86, 87, 88, 90, 92),  # rename, mkdir, rmdir, link, unlink, symlink, chmod, chown
    *(258, 259, 260, 263, 264, 265, 266, 268, 316),  # their *at forms, mknodat
    *(101, 310, 311, 298, 321, 425, 438, 434, 323),  # ptrace, process_vm_*, perf, bpf, io_uring, pidfd_*, userfaultfd
    *(62, 165, 166, 169, 175, 246, 250, 272, 308, 313),  # kill, mount, umount, reboot, modules, kexec, keyctl, namespaces
)


def enter_sandbox(*, memory_bytes: int) -> None:
    """Give up everything that can be given up without privileges, and privileges where there are some."""
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_DATA: int(memory_bytes * _DATA_PART),
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
    _drop_root()
    if platform.machine() == "x86_64":
        _filter_system_calls()


def limit_cpu(seconds: float) -> None:
    """Processor time for the next request; beyond it the kernel ends this process (SIGXCPU), whatever it hangs in."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime + 2 * seconds) + 2  # two threads: one decodes, one hashes
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _drop_root() -> None:
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):  # inside a user namespace only root may be mapped
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _filter_system_calls() -> None:
    """A deny list; kernels without seccomp go without it, since the limits hold all the same."""
    program = _program()
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_pointer = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    library.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(filter_pointer, len(filter_pointer)))


def _program() -> bytes:
    """BPF: another architecture is refused, a listed call is refused, a new process is refused, the rest passes."""
    calls = sorted(_REFUSED_CALLS)
    steps = [
        _step(_LOAD, 0, 0, _ARCH_OFFSET),
        _step(_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        _step(_RETURN, 0, 0, _REFUSE),
        _step(_LOAD, 0, 0, _NUMBER_OFFSET),
        _step(_JUMP_GREATER_EQUAL, len(calls) + 6, 0, _FIRST_X32_NUMBER),
        *(_step(_JUMP_EQUAL, len(calls) - index + 5, 0, call) for index, call in enumerate(calls)),
        _step(_JUMP_EQUAL, 3, 0, _CLONE3),
        _step(_JUMP_EQUAL, 0, 3, _CLONE),
        _step(_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET),
        _step(_JUMP_IF_SET, 1, 2, _CLONE_THREAD),
        _step(_RETURN, 0, 0, _UNKNOWN),
        _step(_RETURN, 0, 0, _ALLOW),
        _step(_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(steps)


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
