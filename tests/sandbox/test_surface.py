"""What of the kernel commands do not reach, and that what people build with still works."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from pathlib import Path

import pytest
from tests.sandbox.world import SECRET, make

from pygent.sandbox import keyring, seccomp
from pygent.sandbox.output import Output
from pygent.sandbox.process import Spawn, run_process

FILTERED = pytest.mark.parametrize("kind", ["bubblewrap", "docker"], indirect=True)
SESSION_KEYRING = -3
READ_KEY = f"""
import ctypes
libc = ctypes.CDLL(None)
key = libc.syscall({{number}}, 10, {SESSION_KEYRING}, b"user", b"pygent-test-canary", 0)
text = ctypes.create_string_buffer(99)
print(libc.syscall({{number}}, 11, key, text, 99) > 0 and text.value.decode())
"""


@FILTERED
async def test_no_call_of_the_list_reaches_the_kernel(kind: str, workspace: Path, state: Path) -> None:
    column = seccomp.ARCHITECTURES[platform.machine()].column
    tables = [(seccomp.DENIED, errno.EPERM), (seccomp.MISSING, errno.ENOSYS)]
    wanted = {
        name: (numbers[column], number)
        for table, number in tables
        for name, numbers in table.items()
        if numbers[column] is not None
    }
    (workspace / "probe.py").write_text(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"for name, (call, wanted) in {wanted}.items():\n"
        "    done = libc.syscall(call, -1, -1, -1, -1, -1, -1)\n"
        "    if done != -1 or ctypes.get_errno() != wanted:\n"
        "        print(name, done, ctypes.get_errno())\n"
    )
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("python3 probe.py && grep Seccomp: /proc/self/status", timeout=60)
    await sandbox.close()
    assert done.output == "Seccomp:\t2\n"


@pytest.mark.parametrize("own", [False, True])
async def test_the_session_keyring_of_the_server_is_not_the_commands(
    own: bool, tmp_path: Path, workspace: Path
) -> None:
    libc, number = ctypes.CDLL(None), keyring.KEYCTL[platform.machine()]
    add_key = seccomp.DENIED["add_key"][seccomp.ARCHITECTURES[platform.machine()].column]
    key = libc.syscall(add_key, b"user", b"pygent-test-canary", SECRET.encode(), len(SECRET), SESSION_KEYRING)
    assert key > 0
    script = READ_KEY.format(number=number)
    output = Output(tmp_path, "keys", None, None)
    spawn = Spawn([sys.executable, "-I", "-c", script], workspace, dict(os.environ), own_keys=own)
    done = await run_process(spawn, output=output, mark="keys", timeout=20)
    libc.syscall(number, 21, key)  # KEYCTL_INVALIDATE
    assert done.output.strip() == ("False" if own else SECRET)


TOOLS = {
    "git": "git init -q r && cd r && echo x > f && git add f && git -c user.name=a -c user.email=a@b commit -qm m"
    " && git log --oneline | wc -l",
    "gcc": "printf '#include <pthread.h>\\n#include <stdio.h>\\nvoid *f(void *a) { return a; }\\nint main() {"
    ' pthread_t t; puts(pthread_create(&t, 0, f, 0) ? "no" : "1"); pthread_join(t, 0); }\\n\' > t.c'
    " && gcc -pthread t.c -o t && ./t",
    "make": "printf 'all:\\n\\t@echo 1\\n' > Makefile && make -j4 -s",
    "node": "node -e \"const w = new (require('worker_threads').Worker)('1', {eval: true});"
    " w.on('exit', () => console.log(require('child_process').execSync('echo 1').toString().trim()))\"",
    "npm": "npm --version > /dev/null && echo 1",
    "perl": "perl -e 'fork || exit; wait; print 1, $/'",
    "gdb": "printf 'int main() { return 1; }' > g.c && gcc -g g.c -o g && gdb -batch -ex 'break main' -ex run"
    " -ex 'print 1' ./g 2>/dev/null | grep -o 'Breakpoint 1, main' | wc -l",
    "strace": "strace -c -o /dev/null true && echo 1",
    "rustc": "printf 'fn main() { std::thread::spawn(|| println!(\"1\")).join().unwrap() }' > m.rs"
    " && rustc m.rs && ./m",
}
"""Programs that people build with, and a use of each that prints 1."""

PYTHON = """
import asyncio, concurrent.futures, multiprocessing, os, socket, subprocess, threading

async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    reader, _ = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    made = await asyncio.create_subprocess_exec("true")
    assert await made.wait() == 0

if __name__ == "__main__":
    asyncio.run(main())
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
    assert multiprocessing.get_context("spawn").Process(target=abs, args=(1,)).start() is None
    with open("reserved", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 100_000)
    assert os.stat("reserved").st_size == 100_000
    assert socket.getaddrinfo("localhost", 80)
    socket.socketpair()
    print("works")
"""


@FILTERED
async def test_python_works(kind: str, workspace: Path, state: Path) -> None:
    (workspace / "use.py").write_text(PYTHON)
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run("python3 use.py", timeout=60)
    await sandbox.close()
    assert done.output.strip().endswith("works"), done.output


@pytest.mark.parametrize("kind", ["bubblewrap"], indirect=True)
@pytest.mark.parametrize("tool", TOOLS)
async def test_a_tool_works_behind_the_filter(tool: str, kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state)
    if (await sandbox.run(f"{tool} --version")).exit_code != 0:
        pytest.skip(f"no {tool} on this machine")
    done = await sandbox.run(TOOLS[tool], timeout=100)
    await sandbox.close()
    assert done.output.strip() == "1", done.output
