"""`pygent demo`: everything at work, with only the model replayed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from pathlib import Path

from pygent.app import App
from pygent.budget import worded
from pygent.cli.console import Console
from pygent.cli.lines import Events
from pygent.cli.render import Screen
from pygent.errors import PygentError
from pygent.events import Envelope, TurnFinished, TurnStarted
from pygent.records import Approval, Decision, Question, TurnResult
from pygent.replay import ReplayServer, read_script
from pygent.sandbox.engine import has_image

PROMPT = (
    "A test of this project fails. Find out why and mend it, let a background agent write tests for the "
    "edges, and show me that everything passes."
)
PERSONAS = [{"name": "tester", "description": "writes short, thorough tests."}]


class Viewer:
    """Shows the session; its recorded commands are known, so consent is given without asking."""

    name = "demo"

    def __init__(self, console: Console) -> None:
        self._events = Events(console)
        self._screen = Screen(console) if console.out.isatty() else None
        self.session_id = ""

    def emit(self, envelope: Envelope) -> None:
        """Show an event of the main session; on a terminal text is drawn as in a conversation."""
        if envelope.session_id != self.session_id or isinstance(envelope.event, TurnStarted | TurnFinished):
            return
        if self._screen is None:
            self._events.show(envelope)
        else:
            self._screen.session_id = self.session_id
            self._screen.emit(envelope)

    async def approve(self, approval: Approval) -> Decision | None:
        """Leave it to others: nothing is asked for in the demo."""
        return None

    async def ask(self, question: Question) -> str | None:
        """Nobody answers here."""
        return None

    def end(self) -> None:
        """Finish the last line."""
        self._events.end()


async def demo(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """Mend the example project; 0 if its tests pass at the end.  Leaves nothing behind."""
    began = time.monotonic()
    if console.out.isatty():
        console.columns = lambda: shutil.get_terminal_size().columns
    place = Path(tempfile.mkdtemp(prefix="pygent-demo-"))
    try:
        project = given.keep.resolve() if given.keep else place / "project"
        with resources.as_file(resources.files("pygent.cli.demo")) as here:
            shutil.copytree(here / "project", project, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            script = here / "script.json"
            return await _play(
                given, environ, console, place=place, script=script, project=project, began=began
            )
    except FileExistsError as error:
        raise PygentError("conflict", f"{given.keep} is there already.", "Name a new folder.") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _play(
    given: argparse.Namespace,
    environ: Mapping[str, str],
    console: Console,
    *,
    place: Path,
    script: Path,
    project: Path,
    began: float,
) -> int:
    async with _model(given.live, environ, console, script) as settings:
        docker = await _docker(given, settings, console)
        flags: dict[str, object] = {"task_personas": PERSONAS, "confirm_bash": False, **docker}
        app = App(environ=settings, home=place, state=place / "state", flags=flags)
        viewer = Viewer(console)
        app.attach(viewer)
        try:
            folder = app.sessions.folder(project, trusted=True)
            sandbox = await folder.sandbox(lambda text: console.say(text, "dim"))
            console.say(f"Isolation: {sandbox.kind}. Project: {project}\n", "bold")
            console.say(f"You: {PROMPT}\n", "bold")
            session = app.sessions.new(folder)
            viewer.session_id = session.id
            result = await session.chat(PROMPT)
            viewer.end()
            tests = await sandbox.run("python3 -m unittest")
        finally:
            await app.close()
    return _conclude(console, result, tests.exit_code == 0, time.monotonic() - began)


@contextlib.asynccontextmanager
async def _model(
    live: bool, environ: Mapping[str, str], console: Console, script: Path
) -> AsyncIterator[Mapping[str, str]]:
    """The environment with the model of the demo in it."""
    if live:
        console.say("Demo, live: the real model works on the example project.", "bold")
        yield environ
        return
    console.say(
        "Demo: a model server on this machine replays a recorded conversation. All else is real: HTTP, the "
        "agent, its sandbox, the edits, the delegated task.",
        "bold",
    )
    kept = {
        name: value for name, value in environ.items() if not name.startswith(("OPENAI_", "PYGENT_PERSONA"))
    }
    async with ReplayServer(read_script(script)) as server:
        yield {**kept, "OPENAI_BASE_URL": server.base_url}


async def _docker(
    given: argparse.Namespace, environ: Mapping[str, str], console: Console
) -> dict[str, object]:
    """Docker if it was asked for, or has its image: the demo pulls nothing."""
    if given.docker is not None:
        return {"use_docker": str(int(given.docker))}
    if environ.get("PYGENT_USE_DOCKER"):
        return {}
    image = environ.get("PYGENT_IMAGE") or "python:3.12-slim"
    if await asyncio.to_thread(has_image, image, environ):
        return {"use_docker": "1"}
    console.say(f"No Docker with the image {image} here, so the next best sandbox is used.", "dim")
    return {"use_docker": "0"}


def _conclude(console: Console, result: TurnResult, passed: bool, seconds: float) -> int:
    if result.error is not None:
        console.error(result.error.message, result.error.fix)
    console.say(f"\n{worded(result.usage)} · {len(result.changes)} files changed · {seconds:.1f} s", "dim")
    if passed and result.status == "completed":
        console.say("The tests of the project pass. Nothing is left behind.", "green")
        return 0
    console.say("The tests of the project do not pass.", "red")
    return 1
