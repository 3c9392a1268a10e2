"""The shell: commands run in the sandbox, after the bans and a person's consent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from pygent.errors import ToolError
from pygent.events import Notice, ToolOutput
from pygent.sandbox import CommandResult, Sandbox
from pygent.tools import Arguments, Result, ToolContext
from pygent.tools.background import start
from pygent.tools.bans import banned

COMMAND_TIMEOUT = 600.0
"""Seconds after which a command is killed where no step timeout says less."""


class Bash(Arguments):
    """Run a shell command in the sandbox, at the workspace's root, and get its output and exit code.
    There is no input and no terminal; each command starts in a fresh shell, and what it leaves running is
    ended with it, unless `background` is set: for servers and the like.
    """

    name: ClassVar[str] = "bash"
    changes: ClassVar[bool] = True
    cmd: Annotated[str, Meta(description="The command; may be a whole script.")]
    background: bool = False

    def title(self) -> str:
        """The command's first line behind a prompt."""
        first, _, rest = self.cmd.strip().partition("\n")
        return f"$ {first}" + (" …" if rest else "")

    async def run(self, context: ToolContext) -> Result:
        """Check, ask, run."""
        settings = context.settings
        reason = banned(self.cmd, settings.banned_commands, settings.banned_apps)
        if reason is not None:
            raise ToolError(f"This command may not be run here: {reason}.")
        sandbox = await (self._approved(context) if settings.confirm_bash else context.sandbox())
        if unseen := _unseen(context):
            context.emit(Notice(level="info", text=unseen, code="unsaved"))
        if self.background:
            return await start(context, sandbox, self.cmd, context.outputs)
        notices: list[str] = []

        def tell(text: str) -> None:
            notices.append(text)
            context.emit(Notice(level="warning", text=text, code="protected"))

        limit = COMMAND_TIMEOUT if context.step_timeout is None else context.step_timeout
        done = await sandbox.run(
            self.cmd,
            timeout=limit,
            on_output=lambda text: context.emit(ToolOutput(item_id=context.item_id, text=text)),
            outputs=context.outputs,
            on_notice=tell,
        )
        notices += [unseen] if unseen else []
        return Result(
            "\n".join([_report(done, limit), *(f"[{text}]" for text in notices)]),
            status="timedOut" if done.timed_out else "completed" if done.exit_code == 0 else "failed",
            exit_code=done.exit_code,
            truncated=done.truncated,
        )

    async def _approved(self, context: ToolContext) -> Sandbox:
        """The sandbox that a person allowed the command for.  Raises as `ToolContext.confirm`."""
        while True:
            sandbox = await context.sandbox()
            boundary = _boundary(sandbox)
            unseen = _unseen(context)
            await context.confirm(
                kind="command",
                title="Run a command",
                detail=f"{self.cmd}\n\n{unseen}" if unseen else self.cmd,
                command=self.cmd,
                background=self.background,
                **boundary,
            )
            sandbox = await context.sandbox()
            if _boundary(sandbox) == boundary:  # it may have been restarted while the person read
                return sandbox


def _boundary(sandbox: Sandbox) -> dict[str, Any]:
    """What consent to a command depends on, as fields of an `Approval`."""
    status = sandbox.status()
    return {"isolation": sandbox.kind, "network": status.network, "outside": list(status.outside)}


def _unseen(context: ToolContext) -> str:
    """Which unsaved texts the command will not see."""
    names = context.workspace.unseen()
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"Not saved in the editor, so commands see the older files: {shown}." if names else ""


def _report(done: CommandResult, limit: float) -> str:
    """What the model reads: the output, then how it ended."""
    lines = [done.output.rstrip("\n")] if done.output.strip() else ["(no output)"]
    if done.timed_out:
        lines.append(f"[killed after {limit:g} s; what takes longer or never ends belongs in the background]")
    elif done.exit_code != 0:
        lines.append(f"[exit code {done.exit_code}]")
    if done.hint:
        lines.append(f"[{done.hint}]")
    return "\n".join(lines)


TOOLS = (Bash,)
