"""What every sandbox does to a command, and once before the first."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable

import msgspec

from pygent.errors import SandboxUnavailable
from pygent.sandbox import CommandResult, Report
from pygent.sandbox.profile import Profile

SETUP = 900.0
"""Seconds that a command of `sandbox.setup` may take."""

_QUESTION = re.compile(r"(?:\[[yY]/[nN]\]|\([yY](?:es)?/[nN]o?\)|[Pp]assword[^\n]*:|\?|>>>)\s*\Z")


def limited(command: str, profile: Profile, *, processes: bool) -> str:
    """The command behind its limits, on its own first line so that the shell counts lines as its writer does.

    `processes` limits their number too, which counts those of the user in the command's user namespace
    (setrlimit(2), RLIMIT_NPROC).
    """
    limits = [f"ulimit -c 0; ulimit -f {max(1, profile.limits.file_size // 1024)}"]
    if processes:
        limits.append(f"ulimit -u {profile.limits.pids}")
    return f"{{ {'; '.join(limits)}; }} 2>/dev/null; {command}"


def asked(output: str) -> bool:
    """Whether an output ends as if its command had waited for an answer."""
    return _QUESTION.search(output[-200:].rstrip("\n")) is not None


def backgrounds(command: str) -> bool:
    """Whether a command starts something that it does not wait for, as far as its words tell."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.commenters = ""
    try:
        found = set(words)
    except ValueError:
        return False
    return "&" in found and "wait" not in found


def told(command: str, done: CommandResult) -> CommandResult:
    """The result of a command in a sandbox that ends what it left, before that could be counted."""
    if done.exit_code is None or not backgrounds(command):
        return done
    hint = "Whatever it left running in the background ended with the command."
    return msgspec.structs.replace(done, hint=" ".join(filter(None, [done.hint, hint])))


async def set_up(
    profile: Profile, run: Callable[[str, float], Awaitable[CommandResult]], report: Report
) -> None:
    """Run the commands of `sandbox.setup` in a new sandbox.  Raises SandboxUnavailable where one fails."""
    for command in profile.limits.setup:
        report(f"Setting up the sandbox: {command}")
        done = await run(command, SETUP)
        if done.exit_code != 0:
            last = (done.output.strip().splitlines() or ["no output"])[-1]
            ended = "took too long" if done.timed_out else f"ended with {done.exit_code}"
            raise SandboxUnavailable(
                f"The setup command `{command}` {ended}: {last[:300]}.", "Mend or remove it in sandbox.setup."
            )
