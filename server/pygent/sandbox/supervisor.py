"""The first process of a container: starts commands, passes their output on, ends their trees.

Standard library only, run as `python3 -I -S -c TEXT FILTERS`, with the text of `tree.py` in front of it
in place of the import, and the commands' seccomp filters as JSON: hexadecimal digits by machine.
As process 1 it can't be killed from inside, adopts every orphan, and dies when its standard input closes,
which the engine does as soon as the server that attached to it is gone.

Frames to it: uint32 length (big endian), JSON: `{"op": "run", "id", "argv", "cwd", "env"}`,
`{"op": "kill", "id"}`, and `{"op": "end", "id"}`, which kills all at once.  Frames from it: uint32 length of
the payload, uint8 kind, uint32 id, payload; kinds:
HELLO, OUT (bytes), EXIT (JSON `{"code", "left"}`), ERROR (text).
"""

import ctypes
import errno
import json
import os
import select
import signal
import struct
import sys
import time
from typing import Any, NoReturn

from pygent.sandbox.tree import MARK, end

HELLO, OUT, EXIT, ERROR = 0, 1, 2, 4
MAX_FRAME = 64 * 1024 * 1024
HIGH_WATER = 1024 * 1024
DRAIN = 0.1
GRACE = 0.5


class Filter(ctypes.Structure):
    """`struct sock_fprog`: how many instructions, and where."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


class Confinement:
    """The seccomp filter of commands; none for a machine that has none, or for a Python of 32 bits."""

    def __init__(self, filters: dict[str, str]) -> None:
        program = bytes.fromhex(filters.get(os.uname().machine, "")) if sys.maxsize > 2**32 else b""
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.filter = Filter(len(program) // 8, program) if program else None

    def enter(self) -> None:
        """Put it over this process beside the engine's own; the strictest answer counts."""
        if self.filter is None:
            return
        # PR_SET_NO_NEW_PRIVS, which an engine may not have set; PR_SET_SECCOMP, SECCOMP_MODE_FILTER.  A
        # processor that is emulated has no filters (EINVAL): there the engine's own is all there is.
        prctl = self.libc.prctl
        if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(self.filter), 0, 0):
            number = ctypes.get_errno()
            if number != errno.EINVAL:
                raise OSError(number, "No seccomp filter: " + os.strerror(number))


class Job:
    """A command: its first process, the pipe of its output, and when to stop waiting for either."""

    def __init__(self, number: int, pid: int, pipe: int, mark: str) -> None:
        self.number, self.pid, self.pipe, self.mark = number, pid, pipe, mark
        self.code: int | None = None
        self.deadline: float | None = None


class Supervisor:
    """One loop over everything: frames, output, ended processes."""

    def __init__(self, inp: int, out: int, confinement: Confinement) -> None:
        self.inp, self.out, self.confinement = inp, out, confinement
        self.jobs: dict[int, Job] = {}
        self.incoming = b""
        self.outgoing = bytearray()
        self.wake, wake = os.pipe()
        for descriptor in (self.wake, wake, inp, out):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)

    def serve(self) -> None:
        """Work until the input closes."""
        shell = "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"
        self.frame(HELLO, 0, json.dumps({"pid": os.getpid(), "shell": shell}).encode())
        while True:
            reading = [self.inp, self.wake]
            if len(self.outgoing) < HIGH_WATER:
                reading += [job.pipe for job in self.jobs.values() if job.pipe >= 0]
            writing = [self.out] if self.outgoing else []
            ready, writable, _ = select.select(reading, writing, [], self.pause())
            if writable:
                self.flush()
            if self.inp in ready and not self.receive():
                return
            if self.wake in ready:
                os.read(self.wake, 4096)
            for job in [job for job in self.jobs.values() if job.pipe in ready]:
                self.read(job)
            self.reap()
            self.conclude()

    def pause(self) -> float | None:
        """Seconds until the next deadline; None if there is none."""
        deadlines = [job.deadline for job in self.jobs.values() if job.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def frame(self, kind: int, number: int, payload: bytes) -> None:
        """Queue a frame."""
        self.outgoing += struct.pack(">IBI", len(payload), kind, number) + payload
        self.flush()

    def flush(self) -> None:
        """Write what the other side takes."""
        try:
            written = os.write(self.out, memoryview(self.outgoing)[:HIGH_WATER])
        except BlockingIOError:
            return
        except OSError:
            os._exit(1)
        del self.outgoing[:written]

    def receive(self) -> bool:
        """Take in frames; False at the end of input or at garbage."""
        data = os.read(self.inp, 1 << 16)
        self.incoming += data
        while len(self.incoming) >= 4:
            (size,) = struct.unpack(">I", self.incoming[:4])
            if size > MAX_FRAME:
                return False
            if len(self.incoming) < 4 + size:
                break
            body, self.incoming = self.incoming[4 : 4 + size], self.incoming[4 + size :]
            try:
                self.obey(json.loads(body.decode()))
            except (ValueError, KeyError, TypeError, OSError) as error:
                self.frame(ERROR, 0, repr(error).encode())
        return bool(data)

    def obey(self, order: dict[str, Any]) -> None:
        """Do what one frame asks."""
        number = order["id"]
        if order["op"] == "run":
            self.run(number, order["argv"], order["cwd"], order["env"])
        elif order["op"] == "end":
            os.kill(-1, signal.SIGKILL)  # everything but ourselves
        elif order["op"] == "kill" and number in self.jobs:
            job = self.jobs[number]
            job.deadline = time.monotonic() + GRACE
            try:
                os.killpg(job.pid, signal.SIGTERM)
            except OSError:
                pass

    def run(self, number: int, argv: list[str], cwd: str, env: dict[str, str]) -> None:
        """Start a command with its own session, no input, and one pipe for its output."""
        reading, writing = os.pipe()
        mark = "%d" % number
        env = dict(env, **{MARK: mark})
        pid = os.fork()
        if pid == 0:
            become(argv, cwd, env, writing, self.confinement)
        os.close(writing)
        os.set_blocking(reading, False)
        self.jobs[number] = Job(number, pid, reading, mark)

    def read(self, job: Job) -> None:
        """Pass a piece of output on."""
        try:
            data = os.read(job.pipe, 1 << 16)
        except BlockingIOError:
            return
        if data:
            self.frame(OUT, job.number, data)
        else:
            os.close(job.pipe)
            job.pipe = -1

    def reap(self) -> None:
        """Take note of first processes that ended."""
        for job in self.jobs.values():
            if job.code is None:
                try:
                    pid, status = os.waitpid(job.pid, os.WNOHANG)
                except ChildProcessError:
                    pid, status = job.pid, 0
                if pid:
                    code = (
                        os.waitstatus_to_exitcode(status)
                        if hasattr(os, "waitstatus_to_exitcode")
                        else status >> 8
                    )
                    job.code = code if code >= 0 else 128 - code
                    job.deadline = time.monotonic() + DRAIN

    def conclude(self) -> None:
        """End the jobs whose time has come: kill what they left, then say how they ended."""
        now = time.monotonic()
        for job in list(self.jobs.values()):
            due = job.deadline is not None and now >= job.deadline
            if not (due or (job.code is not None and job.pipe < 0)):
                continue
            leaders = {other.pid for other in self.jobs.values()}
            left = end(job.pid, job.mark, leaders, len(self.jobs) == 1)
            while job.code is None:
                self.reap()
                time.sleep(0.001)
            if job.pipe >= 0:
                self.read(job)
            if job.pipe >= 0:
                os.close(job.pipe)
            del self.jobs[job.number]
            self.frame(EXIT, job.number, json.dumps({"code": job.code, "left": left}).encode())


def become(argv: list[str], cwd: str, env: dict[str, str], output: int, confinement: Confinement) -> NoReturn:
    """In the child: turn into the command."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, 256)
        os.chdir(cwd)
        confinement.enter()
        os.execve(argv[0], argv, env)
    except OSError as error:
        os.write(2, ("%s: %s\n" % (argv[0], error.strerror)).encode())
    finally:
        os._exit(127)


def main() -> None:
    """Serve on standard input and output, out of the commands' reach."""
    confinement = Confinement(json.loads(sys.argv[1]))
    confinement.libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: commands have our uid, and must not read us
    inp, out = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    try:
        Supervisor(inp, out, confinement).serve()
    finally:
        try:
            os.kill(-1, signal.SIGKILL)
        except OSError:
            pass
        os._exit(0)


if __name__ == "__main__":
    main()
