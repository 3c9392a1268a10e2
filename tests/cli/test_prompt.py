"""The line at the bottom of the terminal, where a terminal's timing can't be waited for."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pyte
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import DummyCompleter
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from pygent.cli.prompt import Prompt

ROWS, COLUMNS = 24, 80


async def test_what_is_said_as_a_line_is_entered_leaves_no_prompt_behind(tmp_path: Path) -> None:
    drawn = io.StringIO()
    output = Vt100_Output(drawn, lambda: Size(rows=ROWS, columns=COLUMNS), enable_cpr=False)
    with create_pipe_input() as keys, create_app_session(input=keys, output=output):
        prompt = Prompt(
            tmp_path / "history",
            DummyCompleter(),
            label=lambda _: "allow? ",
            live=lambda *_: "",
            toolbar=lambda _: "",
            interrupted=lambda: False,
            colour=False,
        )
        reading = asyncio.create_task(prompt.read())
        while "allow?" not in drawn.getvalue():
            await asyncio.sleep(0.01)
        prompt._session.app.exit(result="y")  # as Enter does; the line is taken away only afterwards
        prompt.above.write("said meanwhile\n")
        prompt.above.print()
        assert await reading == "y"
        prompt.above.write("said later\n")
        prompt.above.print()
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed(drawn.getvalue().replace("\n", "\r\n"))
    assert [line.rstrip() for line in screen.display if line.strip()] == ["said meanwhile", "said later"]
