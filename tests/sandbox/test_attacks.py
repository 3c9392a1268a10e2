"""What a hostile command tries, and that it does not get it.

Each case is a script that prints BREACH where it succeeds.  Those marked `control` do succeed without a
sandbox, which shows that the script is a real attempt and not merely a broken one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.sandbox.world import SECRET, make, world


class Attack(NamedTuple):
    """`tries` says what; `control` whether it works on a bare machine."""

    name: str
    tries: str
    script: str
    control: bool = False
    only: str = ""


def python(code: str) -> str:
    return f"python3 - <<'EOF' 2>/dev/null && echo BREACH\n{code}\nEOF"


def call(code: str, **numbers: tuple[int, int]) -> str:
    """A script that makes system calls by their numbers on x86_64 and on aarch64."""
    column = "import os\ncolumn = os.uname().machine == 'aarch64'\n"
    table = "".join(f"{name} = {pair}[column]\n" for name, pair in numbers.items())
    made = "import ctypes\nlibc = ctypes.CDLL(None)\n"
    return python(f"{column}{table}{made}done = libc.syscall({code})\nassert done >= 0")


def opens(family: int, kind: int, protocol: int = 0) -> str:
    return python(f"import socket\nsocket.socket({family}, {kind}, {protocol})")


ATTACKS = [
    # Files
    Attack("F01", "read a file outside", "grep -q very-secret @outside@/secret && echo BREACH", True),
    Attack("F02", "read through a link in the workspace", "cat link/secret && echo BREACH", True),
    Attack("F03", "write a file outside", "echo x > @outside@/new && echo BREACH"),
    Attack("F04", "write through a link", "echo x > link/new && echo BREACH"),
    Attack("F05", "read the home folder's keys", "cat @home@/.ssh/id_rsa && echo BREACH", True),
    Attack("F06", "read our state folder", "cat @state@/pygent.db && echo BREACH", True),
    Attack("F07", "read .env", "grep -q very-secret .env && echo BREACH", True),
    Attack("F08", "hard-link .env", "ln .env copy && grep very-secret copy && echo BREACH", True),
    Attack("F09", "move .env", "mv .env copy && grep very-secret copy && echo BREACH"),
    Attack("F10", "unmount what covers .env", "umount .env && cat .env && echo BREACH"),
    Attack("F11", "write .git/config", "echo x >> .git/config && echo BREACH"),
    Attack("F12", "plant a git hook", "echo x > .git/hooks/pre-commit && echo BREACH"),
    Attack("F13", "plant .git/commondir", "echo ../evil > .git/commondir && echo BREACH"),
    Attack("F14", "swap .git", "mv .git old && mkdir .git && echo BREACH"),
    Attack("F15", "remove .git", "rm -rf .git; [ -e .git/config ] || echo BREACH"),
    Attack("F16", "write pygent.toml", "echo 'use_docker = 0' >> pygent.toml && echo BREACH"),
    Attack("F17", "rename over pygent.toml", "echo x > t && mv -f t pygent.toml && echo BREACH"),
    Attack("F18", "link over pygent.toml", "ln -sf /etc/passwd pygent.toml && echo BREACH"),
    Attack("F19", "write /etc/passwd", "echo x >> /etc/passwd && echo BREACH"),
    Attack("F20", "write a system program", "echo x > /usr/bin/pygent-was-here && echo BREACH"),
    Attack("F21", "write at the root", "touch /pygent-was-here && echo BREACH"),
    Attack("F22", "remount the system writable", "mount -o remount,rw /usr && echo BREACH"),
    Attack("F23", "mount something", "mkdir -p m && mount -t tmpfs x m && echo BREACH"),
    Attack("F24", "make a device", "mknod d b 8 0 && echo BREACH"),
    Attack("F25", "read memory", "head -c 1 /dev/mem && echo BREACH"),
    Attack("F26", "reach disks", "ls /dev/[svn][dv]* /dev/dm-* 2>/dev/null | grep . && echo BREACH"),
    Attack("F27", "go up by /proc/self/root", "cat /proc/self/root@outside@/secret && echo BREACH", True),
    Attack("F28", "go up by the first process's root", "ls /proc/1/root@home@/.ssh && echo BREACH"),
    Attack(
        "F29", "gain rights by a set-uid copy", "grep -q 'NoNewPrivs:.1' /proc/self/status || echo BREACH"
    ),
    Attack("F30", "change owners", "touch f && chown 12345 f && echo BREACH"),
    Attack("F31", "answer an approval in the store", "echo x >> @state@/pygent.db && echo BREACH", True),
    # Processes
    Attack(
        "P01",
        "see processes of the host",
        "[ -e /proc/@pid@/status ] && grep -q sleep /proc/@pid@/comm && echo BREACH",
        True,
    ),
    Attack(
        "P02",
        "end a process of the host",
        "kill -9 @pid@; [ -e /proc/@pid@ ] && grep -q sleep /proc/@pid@/comm && echo BREACH",
    ),
    Attack(
        "P03",
        "find secrets in environments",
        "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep very-secret && echo BREACH",
    ),
    Attack(
        "P04",
        "find secrets in command lines",
        "cat /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep 'very[-]secret' && echo BREACH",
    ),
    Attack("P05", "have capabilities", "grep -q 'CapEff:.0000000000000000' /proc/self/status || echo BREACH"),
    Attack("P06", "make a user namespace", "unshare -r true && echo BREACH"),
    Attack("P07", "set the core pattern", "echo '|/tmp/x' > /proc/sys/kernel/core_pattern && echo BREACH"),
    Attack("P08", "press system keys", "echo h > /proc/sysrq-trigger && echo BREACH"),
    Attack("P09", "change the kernel's settings", "sysctl -w kernel.panic=1 2>/dev/null && echo BREACH"),
    Attack(
        "P10", "read the first process", "cat /proc/1/maps 2>/dev/null | grep . && echo BREACH", only="docker"
    ),
    Attack(
        "P11",
        "trace the first process",
        python("import ctypes\nassert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0"),
        only="docker",
    ),
    Attack(
        "P12",
        "write into the first process's output",
        'echo x > /proc/1/fd/1 && [ $(readlink /proc/1/fd/1) != /dev/null ] && [ $$ != 1 ] && [ "$(cat /proc/1/comm)" = python3 ] && echo BREACH',
        only="docker",
    ),
    Attack("P13", "dump core", "[ $(ulimit -Hc) = 0 ] || echo BREACH"),
    Attack("P14", "load a module", "modprobe dummy 2>/dev/null && echo BREACH"),
    Attack("P15", "leave by chroot", "chroot / true && echo BREACH"),
    Attack(
        "P16",
        "raise the limits again",
        "ulimit -f unlimited 2>/dev/null && [ $(ulimit -f) = unlimited ] && echo BREACH",
    ),
    # Network
    Attack(
        "N01",
        "reach a port of the host",
        "(exec 3<>/dev/tcp/127.0.0.1/@port@) 2>/dev/null && echo BREACH",
        True,
    ),
    Attack(
        "N02",
        "have a network card",
        "tail -n +3 /proc/net/dev | grep -v ' lo:\\|tunl\\|sit\\|gre\\|ip6\\|erspan\\|ip_vti' && echo BREACH",
    ),
    Attack(
        "N03",
        "reach an abstract socket of the host",
        "grep -q '@pygent-' /proc/net/unix && echo BREACH",
        True,
    ),
    Attack(
        "N04",
        "reach a socket in a folder of the host",
        python("import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('@outside@/socket')"),
        True,
    ),
    Attack(
        "N05",
        "reach the engine",
        "ls /var/run/docker.sock /run/docker.sock /run/podman/podman.sock 2>/dev/null && echo BREACH",
    ),
    Attack(
        "N06", "open a raw socket", python("import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)")
    ),
    Attack("N07", "open a route", "ip link add type dummy 2>/dev/null && echo BREACH"),
    # Terminal and environment
    Attack("T01", "reach a terminal", "(: > /dev/tty) 2>/dev/null && echo BREACH"),
    Attack(
        "T02", "type into a terminal", python("import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSTI, b'x')")
    ),
    Attack("T03", "have input", "read -r line && echo BREACH"),
    Attack("E01", "see our key", "env | grep very-secret && echo BREACH"),
    Attack(
        "E02", "see our variables", "env | grep -i '^OPENAI\\|^SOME_TOKEN\\|^PYGENT_[^SC]' && echo BREACH"
    ),
    Attack(
        "E03",
        "inherit what loads code",
        "env | grep '^LD_\\|^PYTHONPATH\\|^BASH_ENV\\|^NODE_OPTIONS' && echo BREACH",
    ),
]
KERNEL = [
    Attack("S01", "set up io_uring", call("n, 1, ctypes.create_string_buffer(256)", n=(425, 425)), True),
    Attack("S02", "handle page faults", call("n, 1", n=(323, 282)), True),
    Attack("S03", "name its session keyring", call("n, 0, -3, 1", n=(250, 219)), True),
    Attack(
        "S04",
        "add a key",
        call("n, b'user', b'pygent-test', b'x', 1, -2", n=(248, 217)),
        True,
    ),
    Attack("S05", "list keys", "grep -q . /proc/keys && echo BREACH", True),
    Attack(
        "S06",
        "watch events",
        call("n, ctypes.create_string_buffer(b'\\1\\0\\0\\0\\x70', 128), 0, -1, -1, 0", n=(298, 241)),
    ),
    Attack("S07", "load a BPF program", call("n, 5, ctypes.create_string_buffer(128), 128", n=(321, 280))),
    Attack("S08", "make a user namespace by clone", call("n, 0x10000011, 0, 0, 0, 0", n=(56, 220)), True),
    Attack(
        "S09",
        "make a user namespace by clone3",
        call(
            "n, (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, 17), 64",
            n=(435, 435),
        ),
        True,
    ),
    Attack("S10", "open a file system to mount", call("n, b'tmpfs', 0", n=(430, 430))),
    Attack(
        "S11",
        "take a file's handle",
        call(
            "n, -100, b'.', ctypes.create_string_buffer(b'\\x80', 136), ctypes.byref(ctypes.c_int()), 0",
            n=(303, 264),
        ),
        True,
    ),
    Attack("S12", "reserve blocks", call("n, os.open('f', 65), 0, 0, 9999", n=(285, 47)), True),
    Attack("S13", "call a number that is too new", call("n, 0, 0, 0, 0", n=(100_000, 100_000))),
    Attack("S14", "open a socket to the machine below", opens(40, 1), True),
    Attack("S15", "open a socket to the kernel's ciphers", opens(38, 5)),
    Attack("S16", "open a Bluetooth socket", opens(31, 3)),
    Attack("S17", "open a TIPC socket", opens(30, 1)),
    Attack("S18", "open a socket with SCTP", opens(2, 1, 132)),
    Attack("S19", "open a netfilter socket", opens(16, 3, 12), True),
    Attack("S20", "open a crypto or audit socket", opens(16, 3, 9), True),
    Attack(
        "S21",
        "type into a terminal of its own",
        python(
            "import fcntl, os, pty, termios\nmaster, slave = pty.openpty()\nos.setsid()\n"
            "fcntl.ioctl(slave, termios.TIOCSCTTY, 0)\n"
            "fcntl.ioctl(slave, termios.TIOCSTI, b'x')"
        ),
    ),
]
ATTACKS += KERNEL
EVERYWHERE = ("T01", "T02", "T03", "E01", "E02", "E03", "P13", "P16")
"""What holds without a sandbox, too."""
OPEN = {"landlock": ("F11", "F12", "F13", "F14", "F15", "F16", "F17", "F18", "S12")}
"""What Landlock does not keep: within the workspace it protects nothing, and its filter is the library's."""


CASES = [
    pytest.param(attack, kind, marks=marks, id=f"{kind}-{attack.name}-{attack.tries.replace(' ', '-')}")
    for kind, marks in (
        ("local", ()),
        ("landlock", pytest.mark.landlock),
        ("bubblewrap", pytest.mark.bubblewrap),
        ("docker", pytest.mark.docker),
    )
    for attack in ATTACKS
    if attack.only in ("", kind) and (kind != "local" or attack.control or attack.name in EVERYWHERE)
]


@pytest.mark.parametrize(("attack", "kind"), CASES, indirect=["kind"])
async def test_an_attack_fails(attack: Attack, kind: str, workspace: Path, home: Path, state: Path) -> None:
    with world(workspace, home, state) as around:
        sandbox = await make(kind, workspace, state)
        try:
            done = await sandbox.run(around.fill(attack.script), timeout=20)
            again = await sandbox.run("echo still here", timeout=20)
        finally:
            await sandbox.close()
        is_open = (kind == "local" and attack.control) or attack.name in OPEN.get(kind, ())
        assert ("BREACH" in done.output) == is_open, done.output
        assert again.output == "still here\n"
        if kind != "local" and not is_open:
            around.intact()
            assert SECRET not in done.output


CONFINED = pytest.mark.parametrize("kind", ["bubblewrap", "docker"], indirect=True)


@CONFINED
async def test_a_fork_bomb_ends_and_leaves_the_sandbox_usable(
    kind: str, workspace: Path, state: Path
) -> None:
    sandbox = await make(kind, workspace, state, pids=200)
    began = time.monotonic()
    await sandbox.run("bomb() { bomb | bomb & }; bomb; sleep 30", timeout=1)
    assert (await sandbox.run("echo fine", timeout=20)).output == "fine\n"
    assert time.monotonic() - began < 20
    await sandbox.close()


@CONFINED
async def test_processes_are_limited(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state, pids=40)
    script = "for i in $(seq 100); do sleep 9 & done; sleep 2; [ $(jobs -r | wc -l) -ge 99 ] && echo BREACH"
    done = await sandbox.run(script, timeout=20)
    assert "BREACH" not in done.output
    await sandbox.close()


HOG = "python3 -c \"b = [bytearray(16 << 20) for _ in range(100)]; print('BREACH')\""


async def test_memory_is_limited(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state, memory=256 << 20)
    done = (
        await sandbox.run(HOG + "; sleep 5; echo BREACH", timeout=60)
        if kind != "docker"
        else await sandbox.run(HOG, timeout=60)
    )
    assert "BREACH" not in done.output
    assert done.exit_code == 137
    if kind != "docker":
        assert "256 MiB" in (done.hint or "")
    assert (await sandbox.run("echo fine")).output == "fine\n"
    await sandbox.close()


async def test_a_file_can_only_grow_so_large(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state, file_size=2 << 20)
    await sandbox.run("head -c 10000000 /dev/zero > big", timeout=20)
    assert (workspace / "big").stat().st_size <= 2 << 20
    await sandbox.close()


@CONFINED
async def test_the_first_process_cannot_be_ended_from_inside(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    for signal in ("9", "TERM", "INT", "HUP"):
        await sandbox.run(f"kill -{signal} 1; kill -{signal} -1", timeout=20)
        assert (await sandbox.run("echo fine", timeout=20)).output == "fine\n"
    await sandbox.close()


@CONFINED
async def test_paths_and_variables_that_are_opened(
    kind: str, workspace: Path, state: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILD_FLAVOUR", "sweet")
    monkeypatch.setenv("BUILD_TOKEN", "t-1")
    monkeypatch.setenv("NAMED_TOKEN", "t-2")
    with world(workspace, home, state) as around:
        extra = workspace.parent / "extra"
        extra.mkdir()
        (workspace / "fixed").mkdir()
        sandbox = await make(
            kind,
            workspace,
            state,
            read_only_paths=(around.outside, workspace / "fixed"),
            writable_paths=(extra, workspace / ".git"),
            key=SECRET,
            env=("BUILD_*", "NAMED_TOKEN", "OPENAI_API_KEY"),
        )
        done = await sandbox.run(
            around.fill("cat @outside@/secret; touch @outside@/x; touch fixed/x; touch .git/x; ")
            + f"touch {extra}/x; env | grep '^BUILD\\|^NAMED\\|^OPENAI' | sort"
        )
        await sandbox.close()
        # what the person opens may be read, and still our key is in no output
        assert "[key]" in done.output
        assert "BUILD_FLAVOUR=sweet\nNAMED_TOKEN=t-2\n" in done.output
        assert "BUILD_TOKEN" not in done.output
        assert "OPENAI" not in done.output
        assert not (around.outside / "x").exists()
        assert not (workspace / "fixed/x").exists()
        assert (workspace / ".git/x").exists()
        assert (extra / "x").exists()


@CONFINED
async def test_what_is_protected_is_protected_as_soon_as_it_is_there(
    kind: str, workspace: Path, state: Path
) -> None:
    sandbox = await make(kind, workspace, state)
    await sandbox.run("mkdir .git && echo '[core]' > .git/config")
    await sandbox.run("echo evil >> .git/config")
    await sandbox.close()
    assert (workspace / ".git/config").read_text() == "[core]\n"


@CONFINED
async def test_set_up_runs_once_and_its_failure_is_told(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state, setup=("echo made > ~/once", "echo x >> count"))
    assert (await sandbox.run("cat ~/once")).output == "made\n"
    await sandbox.run("true")
    await sandbox.close()
    assert (workspace / "count").read_text() == "x\n"


@CONFINED
async def test_a_home_and_a_name_exist(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run(
        "cd ~ && touch x && pwd && python3 -c 'import getpass, pwd, os; pwd.getpwuid(os.getuid()); print(getpass.getuser())'"
    )
    await sandbox.close()
    assert done.output == "/home/agent\nagent\n"


async def test_output_that_attacks_the_terminal_is_defused(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run(
        r"printf '\033]52;c;ZXZpbA==\007a\033[2Jb\033]0;title\007c\033P1q\033\\d\342\200\256e\n'"
    )
    await sandbox.close()
    assert done.output == "abcd\\u{202e}e\n"


async def test_a_question_without_an_answer_is_hinted_at(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("printf 'Overwrite? [y/N] '; read -r answer || exit 1")
    await sandbox.close()
    assert "asked for input" in (done.hint or "")
