"""The seccomp filter of sandboxed commands: parts of the kernel that they do not need and must not reach.

The list follows Docker's default profile, with what that profile lets through in some versions: io_uring
(before 25), AF_VSOCK and AF_ALG, key rings.  A denied call fails as if the kernel did not have it or did not
permit it, and never kills, so that programs fall back.  The BPF is assembled here because libseccomp's Python
bindings need its C library at run time; a program has some 250 instructions
(Documentation/userspace-api/seccomp_filter.rst, <linux/seccomp.h>, <linux/bpf_common.h>).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import platform
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: `struct sock_filter`."""
Code = list[Instruction]

LOAD, JUMP_EQUAL, JUMP_LEAST, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Offsets in `struct seccomp_data`; only the low half of an argument counts for the calls below."""

ALLOW: Instruction = (RETURN, 0, 0, 0x7FFF0000)
NEWER = 470
"""The first system call that is newer than this list (Linux 6.18): from here on there are none."""


class Architecture(NamedTuple):
    """`audit` is AUDIT_ARCH_…, `column` the place of its numbers in `DENIED`."""

    audit: int
    column: int


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}
"""By `uname -m`.  On others commands run without a filter."""


def fails(number: int) -> Instruction:
    """Let the call fail with an error number."""
    return (RETURN, 0, 0, 0x00050000 | number)


DENIED: dict[str, tuple[int | None, int | None]] = {
    # Kernel memory, other processes' events, code in the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "kcmp": (312, 272),
    "lookup_dcookie": (212, 18),
    "fanotify_init": (300, 262),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "get_kernel_syms": (177, None),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    # Key rings
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # Mounts, namespaces, files without a path
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # The machine's clock, name, log, swap, quota and power
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "reboot": (169, 142),
    "vhangup": (153, 58),
    "nfsservctl": (180, 42),
    "_sysctl": (156, None),
    "sysfs": (139, None),
    "ustat": (136, None),
    # Where memory lies
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "get_mempolicy": (239, 236),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "set_mempolicy_home_node": (450, 450),
}
"""Calls that are not permitted, with their numbers (<asm/unistd.h>, <asm-generic/unistd.h>)."""

MISSING: dict[str, tuple[int | None, int | None]] = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Its flags lie in memory, out of a filter's sight; the C library then uses clone.
    "clone3": (435, 435),
}
"""Calls that are not there, so that programs take the older way at once."""

NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
NEW_TIME = 0x80
"""CLONE_NEWTIME of unshare; in clone the same bit belongs to a signal's number."""
TERMINAL = (0x5412, 0x541C, 0x5423)
"""TIOCSTI types into a terminal, TIOCLINUX pastes into one, TIOCSETD loads a line discipline."""
RESERVING = (0x40305828, 0x4030582A, 0x40305839)
"""FS_IOC_RESVSP, FS_IOC_RESVSP64 and FS_IOC_ZERO_RANGE: fallocate by another name."""
FREEING = 0x02 | 0x08
"""FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE."""
PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF)
"""Linux, a 32-bit `uname`, both older spellings, a fixed address space (gdb), and the question."""
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
INTERNET = (0, 1, 6, 17, 58)
"""The default, ICMP, TCP, UDP, ICMPv6: others make the kernel load a module (SCTP, L2TP, SMC)."""
ROUTES = 0
"""NETLINK_ROUTE, which tells of the machine's own addresses."""


@functools.cache
def program(machine: str) -> bytes:
    """The filter for a machine by its `uname -m`, one of `ARCHITECTURES`.

    Calls of another architecture that its kernel takes too, such as 32-bit x86, are not there.
    """
    architecture = ARCHITECTURES[machine]
    missing = fails(errno.ENOSYS)
    code: Code = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, architecture.audit), missing]
    code += [(LOAD, 0, 0, NUMBER), (JUMP_LEAST, 0, 1, NEWER), missing]  # x86's x32 calls begin at 2^30
    code += _search(sorted(_rules(architecture).items()))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


@contextlib.contextmanager
def filters() -> Iterator[tuple[int, ...]]:
    """Pipes from which a program that is started reads its filters; none where there is no filter.

    A pipe for each command: two that read the same file would share its position.
    """
    if (machine := platform.machine()) not in ARCHITECTURES:
        yield ()
        return
    reading, writing = os.pipe()
    os.write(writing, program(machine))  # less than a pipe holds
    os.close(writing)
    try:
        yield (reading,)
    finally:
        os.close(reading)


def _rules(architecture: Architecture) -> dict[int, Code]:
    rules: dict[int, Code] = {}
    for table, number in ((DENIED, errno.EPERM), (MISSING, errno.ENOSYS)):
        for numbers in table.values():
            if (call := numbers[architecture.column]) is not None:
                rules[call] = [fails(number)]
    for numbers, rule in _checked():
        rules[numbers[architecture.column]] = rule
    return rules


def _search(rules: Sequence[tuple[int, Code]]) -> Code:
    """Code that finds the rule for the loaded number by halving.

    The kernel runs the filter for each call once when it is installed, to learn which always pass
    (seccomp_cache_prepare): a list without halves costs a command twice as much.
    """
    if len(rules) <= 3:
        steps: Code = []
        for number, rule in rules:
            steps += [(JUMP_EQUAL, 0, len(rule), number), *rule]
        return [*steps, ALLOW]
    middle = len(rules) // 2
    below = _search(rules[:middle])
    return [(JUMP_LEAST, len(below), 0, rules[middle][0]), *below, *_search(rules[middle:])]


def _checked() -> Iterable[tuple[tuple[int, int], Code]]:
    """Calls whose arguments decide, by their numbers."""
    yield (56, 220), [_argument(0), *_if_bits(NAMESPACES, errno.EPERM), ALLOW]  # clone
    yield (272, 97), [_argument(0), *_if_bits(NAMESPACES | NEW_TIME, errno.EPERM), ALLOW]  # unshare
    yield (135, 92), [_argument(0), *_one_of(PERSONALITIES), fails(errno.EPERM)]  # personality
    # Blocks that are reserved without being written grow a file by gigabytes between two looks at the disk
    # (`disk`); the C library's posix_fallocate writes them instead.
    reserving = fails(errno.EOPNOTSUPP)
    yield (285, 47), [_argument(1), (JUMP_BITS, 0, 1, FREEING), ALLOW, reserving]  # fallocate
    ioctl = [*_unless(TERMINAL, errno.EPERM), *_unless(RESERVING, errno.EOPNOTSUPP)]
    yield (16, 29), [_argument(1), *ioctl, ALLOW]
    yield (53, 199), [_argument(0), *_one_of((UNIX,)), fails(errno.EAFNOSUPPORT)]  # socketpair
    internet = [_argument(2), *_one_of(INTERNET), fails(errno.EPROTONOSUPPORT)]
    routes = [_argument(2), *_one_of((ROUTES,)), fails(errno.EPROTONOSUPPORT)]
    families: Code = [
        *_one_of((UNIX,)),
        (JUMP_EQUAL, 1, 0, INET),
        (JUMP_EQUAL, 0, len(internet), INET6),
        *internet,
        (JUMP_EQUAL, 0, len(routes), NETLINK),
        *routes,
    ]
    yield (41, 198), [_argument(0), *families, fails(errno.EAFNOSUPPORT)]  # socket


def _argument(place: int) -> Instruction:
    return (LOAD, 0, 0, ARGUMENTS + 8 * place)


def _one_of(values: Iterable[int]) -> Code:
    return [step for value in values for step in ((JUMP_EQUAL, 0, 1, value), ALLOW)]


def _unless(values: Iterable[int], number: int) -> Code:
    return [step for value in values for step in ((JUMP_EQUAL, 0, 1, value), fails(number))]


def _if_bits(bits: int, number: int) -> Code:
    return [(JUMP_BITS, 0, 1, bits), fails(number)]
