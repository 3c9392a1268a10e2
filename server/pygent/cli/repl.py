"""The interactive session: a prompt, slash commands, consent at the prompt, Ctrl-C that cancels a turn."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from pygent import __version__
from pygent.checkpoints import Undone
from pygent.cli.console import Console, usage_line
from pygent.cli.place import Place, place
from pygent.cli.render import Screen
from pygent.cli.run import open_session, say_place
from pygent.cli.slash import SLASH
from pygent.delegation import DelegateRequest
from pygent.errors import PygentError
from pygent.paths import path_of
from pygent.records import NO_USAGE, Usage
from pygent.session import Session


async def interact(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent` on a terminal."""
    with place(given, environ) as where:
        repl = Repl(where, given, console)
        try:
            return await repl.run()
        finally:
            await where.app.close()


class Repl:
    """One interactive session over one place."""

    def __init__(self, where: Place, given: argparse.Namespace, console: Console) -> None:
        self._where = where
        self._given = given
        self._console = console
        self._usage = NO_USAGE
        self._prompt = _prompt_session(where)
        self._screen = Screen(console, self._question)
        where.app.attach(self._screen)
        self._session: Session = open_session(where.app, where, given)

    async def run(self) -> int:
        """Read and do, until the person leaves."""
        console, settings = self._console, self._where.folder.settings
        console.say(f"Pygent {__version__} · {settings.model} · /help lists the commands", "bold")
        say_place(console, self._where)
        for task in self._where.app.stay([self._where.folder.uri]):
            console.say(f"A task that was interrupted goes on: {task.title}", "yellow")
        preloading = asyncio.create_task(asyncio.to_thread(self._where.app.preload))
        try:
            while (text := await self._read()) is not None:
                if text.strip():
                    await self._do(text.strip())
        except EOFError:
            pass
        finally:
            await asyncio.wait([preloading])
        console.say(f"Go on later with: pygent --resume {self._session.id}", "dim")
        return 0

    async def _read(self) -> str | None:
        """The next input; None to leave.  Ctrl-C twice on an empty line leaves, too."""
        interrupted = False
        while True:
            try:
                return str(await self._prompt.prompt_async(f"{self._session.persona.name}> "))
            except KeyboardInterrupt:
                if interrupted:
                    return None
                interrupted = True
                self._console.say("Ctrl-C again, or Ctrl-D, leaves.", "dim")
            except EOFError:
                return None

    async def _question(self, prompt: str) -> str:
        """A line of the person in the middle of a turn."""
        try:
            return str(await PromptSession[str]().prompt_async(prompt))
        except (KeyboardInterrupt, EOFError):
            return ""

    async def _do(self, text: str) -> None:
        try:
            if text.startswith("/"):
                await self._slash(text)
            else:
                await self._turn(text)
        except PygentError as error:
            self._console.error(error.message, error.fix)

    async def _turn(self, text: str) -> None:
        self._screen.session_id = self._session.id
        job = asyncio.ensure_future(self._session.chat(text))
        with self._screen.working(), _interruptible(job):
            await asyncio.wait([job])
        if job.cancelled():
            self._console.say("Cancelled. The conversation goes on from here.", "yellow")
            return
        result = job.result()
        if result.error is not None:
            self._console.error(result.error.message, result.error.fix)
        self._count(result.usage)
        self._console.say(usage_line(result.usage), "dim")

    def _count(self, usage: Usage) -> None:
        self._usage = Usage(
            prompt_tokens=self._usage.prompt_tokens + usage.prompt_tokens,
            completion_tokens=self._usage.completion_tokens + usage.completion_tokens,
            cached_tokens=(self._usage.cached_tokens or 0) + (usage.cached_tokens or 0),
        )

    # -- slash commands --------------------------------------------------------------------------

    async def _slash(self, text: str) -> None:
        name, _, rest = text[1:].partition(" ")
        if name not in SLASH:
            self._console.error(f"There is no command /{name}.", "/help lists them.")
            return
        if name in ("save", "compact"):
            self._console.error(f"/{name} comes with a later version.")
        elif name == "exit":
            raise EOFError
        else:
            handled = getattr(self, "_" + name.replace("-", "_"))(rest.strip())
            if asyncio.iscoroutine(handled):
                await handled

    def _help(self, rest: str) -> None:
        for name, (arguments, meaning) in SLASH.items():
            if not rest or rest.lstrip("/") == name:
                self._console.answer(f"/{name} {arguments}".ljust(32) + f"{meaning}\n")
        if not rest:
            self._console.say("Alt-Enter begins a new line; @ completes paths; Ctrl-C cancels a turn.", "dim")

    async def _undo(self, _: str) -> None:
        self._show_undone(await self._session.undo())

    async def _redo(self, _: str) -> None:
        self._show_undone(await self._session.undo(redo=True))

    def _show_undone(self, done: Undone) -> None:
        for file in done.files:
            path = path_of(file.uri)
            name = file.uri if path is None else self._where.folder.workspace.relative(path)
            self._console.answer(f"{file.action} {name}\n" if file.conflict is None else "")
            if file.conflict is not None:
                self._console.say(f"{name} {file.conflict}; it is left as it is", "yellow")

    async def _cmd(self, rest: str) -> None:
        sandbox = await self._where.folder.sandbox(lambda text: self._console.say(text, "dim"))
        job = asyncio.ensure_future(sandbox.run(rest, on_output=self._console.answer))
        with _interruptible(job):
            await asyncio.wait([job])
        if not job.cancelled() and job.result().exit_code:
            self._console.say(f"exit code {job.result().exit_code}", "yellow")

    def _cp(self, rest: str) -> None:
        source, _, dest = rest.partition(" ")
        path = Path(source).expanduser()
        if not source or not path.exists():
            self._console.error(f"There is no {source or 'source'}.", "/cp SOURCE [DEST]")
            return
        target = self._where.folder.workspace.resolve(dest.strip() or path.name)
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        self._console.say(f"Copied to {self._where.folder.workspace.relative(target)}", "dim")

    def _new(self, _: str) -> None:
        self._given.resume = None
        self._session = open_session(self._where.app, self._where, self._given)
        self._console.say("A new conversation.", "dim")

    def _tools(self, rest: str) -> None:
        name, _, switch = rest.partition(" ")
        if name:
            self._session.tools.switch(name, switch.strip() != "off")
        for tool in self._session.tools.list():
            mark = "on " if tool.enabled else "off"
            self._console.answer(f"{mark} {tool.name:<22} {tool.description[:80]}\n")

    def _banned(self, _: str) -> None:
        settings = self._where.folder.settings
        self._console.answer(f"commands: {', '.join(settings.banned_commands) or 'none'}\n")
        self._console.answer(f"programs: {', '.join(settings.banned_apps) or 'none'}\n")

    def _confirm_bash(self, rest: str) -> None:
        if rest not in ("on", "off"):
            self._console.error("/confirm-bash takes on or off.")
            return
        flags: Any = self._where.folder.launch.flags
        flags["confirm_bash"] = rest == "on"
        self._where.folder.reload()
        self._console.say("Commands are confirmed." if rest == "on" else "Commands run unasked.", "dim")

    def _tasks(self, _: str) -> None:
        for task in self._where.app.tasks.recorded(limit=20):
            self._console.answer(f"{task.id}  {task.status:<11} {task.persona.name:<12} {task.title}\n")

    async def _delegate(self, rest: str) -> None:
        persona = None
        if rest.startswith("@"):
            persona, _, rest = rest[1:].partition(" ")
        if not rest:
            self._console.error("/delegate needs the work to do.")
            return
        request = DelegateRequest(rest, self._where.folder, persona=persona, session_id=self._session.id)
        task = await self._where.app.tasks.delegate(request)
        self._console.say(f"Task {task.id} runs in the background; /tasks lists it.", "dim")

    def _model(self, rest: str) -> None:
        if rest:
            self._session.use_model(rest)
        self._console.answer(f"{self._session.info.model or self._where.folder.settings.model}\n")

    def _persona(self, rest: str) -> None:
        if rest:
            self._session.use_persona(rest)
        for persona in self._where.folder.personas():
            mark = "*" if persona.name == self._session.persona.name else " "
            self._console.answer(f"{mark} {persona.name:<16} {persona.description}\n")

    def _cost(self, _: str) -> None:
        self._console.answer(f"{usage_line(self._usage)}\n")


@contextlib.contextmanager
def _interruptible(job: asyncio.Future[Any]) -> Any:
    """Let Ctrl-C cancel a job for as long as the block runs."""
    import signal  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, job.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _prompt_session(where: Place) -> PromptSession[str]:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return PromptSession(
        history=FileHistory(str(where.app.launch.state / "prompt-history")),
        completer=SlashCompleter(where.folder.workspace.root),
        key_bindings=keys,
        complete_while_typing=False,
        prompt_continuation="  ",
    )


class SlashCompleter(Completer):
    """Completes `/` commands at the start of the line, and paths of the workspace after `@`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What could stand here."""
        text = document.text_before_cursor
        if text.startswith("/") and " " not in text:
            for name, (_, meaning) in SLASH.items():
                if name.startswith(text[1:]):
                    yield Completion(name, start_position=1 - len(text), display_meta=meaning)
            return
        word = text.rpartition(" ")[2]
        if word.startswith("@"):
            yield from self._paths(word[1:])

    def _paths(self, begun: str) -> Iterable[Completion]:
        folder = (self._root / begun).parent if not begun.endswith("/") else self._root / begun
        if self._root not in [folder, *folder.parents]:
            return
        with contextlib.suppress(OSError):
            for path in sorted(folder.iterdir()):
                name = path.relative_to(self._root).as_posix() + ("/" if path.is_dir() else "")
                if name.startswith(begun) and not path.name.startswith(".git"):
                    yield Completion(name, start_position=-len(begun))
