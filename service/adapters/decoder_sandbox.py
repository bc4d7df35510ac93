"""What the decoder process gives up before it reads a stranger's file: memory, files, network, privileges.

Limits by setrlimit(2); on x86-64 a seccomp filter besides (seccomp(2)): no file can be opened or changed, no program
started, no socket made, no other process reached. What it needs is already open and loaded by then.
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
_SECCOMP, _SET_MODE_FILTER, _ALL_THREADS = 317, 1, 1
_AUDIT_ARCH_X86_64 = 0xC000003E
_FIRST_X32_NUMBER = 0x40000000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # SECCOMP_RET_ERRNO with EPERM, ENOSYS
_NUMBER_OFFSET, _ARCH_OFFSET, _FIRST_ARGUMENT_OFFSET, _SECOND_ARGUMENT_OFFSET = 0, 4, 16, 24
#: Threads are made by clone(2) with this flag; clone3 hides its flags from the filter, and libc does without it.
_CLONE, _CLONE3, _CLONE_THREAD = 56, 435, 0x00010000
#: `limit_cpu` needs it for this process (0) and RLIMIT_CPU (0 too): with other arguments it is refused, for it reaches others.
_PRLIMIT64 = 302

#: x86-64 system call numbers that a decoder has no use for.
_REFUSED_CALLS = (
    *(2, 85, 257, 437, 303, 304, 319, 447),  # open, creat, openat, openat2, name_to_handle_at, open_by_*, memfd_*
    *(41, 42, 43, 49, 50, 53, 288),  # socket, connect, accept, bind, listen, socketpair, accept4
    *(44, 46, 48, 54, 307),  # sendto, sendmsg, shutdown, setsockopt, sendmmsg: the worker is answered through a pipe
    *(57, 58, 59, 322),  # fork, vfork, execve, execveat
    *(62, 129, 200, 234, 297, 424, 434, 438, 448),  # kill, rt_sigqueueinfo, tkill, tgkill, rt_tgsigqueueinfo, pidfd_*, mrelease
    *(16, 72),  # ioctl, fcntl: terminals and devices; F_SETOWN makes the kernel send a signal to any process of the same user
    *(82, 83, 84, 86, 87, 88, 264, 316, 258, 263, 265, 266),  # rename, mkdir, rmdir, link, unlink, symlink; their *at forms
    *(133, 259, 76, 77, 285),  # mknod, mknodat, truncate, ftruncate, fallocate
    *(90, 91, 268, 452, 92, 93, 94, 260),  # chmod, fchmod, fchmodat, fchmodat2, chown, fchown, lchown, fchownat
    *(132, 235, 261, 280, *range(188, 191), *range(197, 200), 463, 466),  # utime and its kin; extended attributes set, removed
    *(40, 275, 276, 278, 326),  # sendfile, splice, tee, vmsplice, copy_file_range
    *(29, 30, 31, 67, *range(64, 67), 220, *range(68, 72), *range(240, 246)),  # System V shm*, sem*, msg*; mq_*
    *(101, 310, 311, 312, 440),  # ptrace, process_vm_readv, process_vm_writev, kcmp, process_madvise
    *(141, 142, 144, 203, 251, 256, 279, 314),  # setpriority, sched_set*, ioprio_set, migrate_pages, move_pages: of others
    *(160, 105, 106, *range(113, 115), 116, 117, 119, 122, 123, 126),  # setrlimit, set*id, setgroups, capset
    *(109, 112, 135),  # setpgid, setsid, personality
    *(298, 321, 323, 425, 426, 427),  # perf_event_open, bpf, userfaultfd, io_uring_*
    *(253, 254, 294, 300, 301),  # inotify_*, fanotify_*
    *(248, 249, 250),  # add_key, request_key, keyctl
    *(80, 81, 161, 155, 272, 308),  # chdir, fchdir, chroot, pivot_root, unshare, setns
    *(165, 166, *range(428, 434), 442, 467),  # mount, umount2, open_tree to fspick, mount_setattr, open_tree_attr
    *(163, 167, 168, 179, 443),  # acct, swapon, swapoff, quotactl, quotactl_fd
    *(169, 170, 171, 172, 173, 103, 153),  # reboot, sethostname, setdomainname, iopl, ioperm, syslog, vhangup
    *(159, 164, 227, 305),  # adjtimex, settimeofday, clock_settime, clock_adjtime
    *(175, 176, 313, 246, 320),  # init_module, delete_module, finit_module, kexec_load, kexec_file_load
)


def enter_sandbox(*, memory_bytes: int) -> bool:
    """Give up everything that can be given up without privileges, and privileges where there are some.

    False when the kernel takes no filter of system calls: the limits hold all the same, and the worker says so in its log.
    """
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
    return platform.machine() == "x86_64" and _filter_system_calls()


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


def _filter_system_calls() -> bool:
    """A deny list for every thread there is and will be; false where it could not be installed."""
    program = _program()
    buffer = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    installed: int = library.syscall(_SECCOMP, _SET_MODE_FILTER, _ALL_THREADS, ctypes.create_string_buffer(pointer, len(pointer)))
    return installed == 0


def _program() -> bytes:
    """BPF: another architecture is refused, a listed call is refused, a new process is refused, the rest passes."""
    calls = sorted(_REFUSED_CALLS)
    steps = [
        _step(_LOAD, 0, 0, _ARCH_OFFSET),
        _step(_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        _step(_RETURN, 0, 0, _REFUSE),
        _step(_LOAD, 0, 0, _NUMBER_OFFSET),
        _step(_JUMP_GREATER_EQUAL, len(calls) + 11, 0, _FIRST_X32_NUMBER),
        *(_step(_JUMP_EQUAL, len(calls) - index + 10, 0, call) for index, call in enumerate(calls)),
        _step(_JUMP_EQUAL, 0, 4, _PRLIMIT64),
        _step(_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET),
        _step(_JUMP_EQUAL, 0, 8, 0),
        _step(_LOAD, 0, 0, _SECOND_ARGUMENT_OFFSET),
        _step(_JUMP_EQUAL, 5, 6, resource.RLIMIT_CPU),
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
