"""Against aimock, a model server that nobody here wrote: calls, usage, and its chaos."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import missing
from tests.model.asking import SYSTEM, Heard, client, prompt

from pygent.errors import ModelError
from pygent.events import Notice
from pygent.model import Listener

HERE = Path(__file__).parent / "aimock"
PROGRAM = HERE / "node_modules/.bin/llmock"
QUESTION = {"role": "user", "content": "list the files"}
HI = {"role": "user", "content": "hi"}


@contextlib.asynccontextmanager
async def aimock(*options: str) -> AsyncIterator[str]:
    """The address of a running server."""
    if not PROGRAM.exists() or not shutil.which("node"):
        missing("no aimock (npm ci --prefix tests/model/aimock)")
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), "-p", "0", "-f", str(HERE / "fixtures.json"), *options, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        while b"listening on" not in (line := await process.stdout.readline()):
            assert line, "it ended"
        yield f"{line.decode().split()[-1]}/v1"
    finally:
        process.terminate()
        await process.wait()


async def test_a_call_its_result_and_the_models(wire: str) -> None:
    async with aimock() as url, client(url, wire) as model:
        heard = Heard()
        answer = await model.answer(prompt(SYSTEM, QUESTION), heard.listener)
        (call,) = answer.calls
        assert (call.name, json.loads(call.arguments)) == ("bash", {"cmd": "ls"})
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
        function = {"name": call.name, "arguments": call.arguments}
        calls = [{"id": call.call_id, "type": "function", "function": function}]
        asked = {"role": "assistant", "content": answer.text, "tool_calls": calls, **answer.extra}
        result = {"role": "tool", "tool_call_id": call.call_id, "content": "a b"}
        last = await model.answer(prompt(SYSTEM, QUESTION, asked, result), heard.listener)
        assert last.text == heard.text == "There are two files."
        assert "gpt-4o" in await model.models()
        assert heard.notices == []


CHAOS = {
    "500": ({"dropRate": 1}, "500"),
    "malformed": ({"malformedRate": 1}, "the answer broke off"),
    "disconnect": ({"disconnectRate": 1}, "connection was lost"),
    "429": ({"rateLimitRate": 1}, "429"),
}


@pytest.mark.parametrize(("rates", "words"), CHAOS.values(), ids=CHAOS.keys())
async def test_chaos_passes(wire: str, rates: dict[str, Any], words: str) -> None:
    async with aimock() as url, client(url, wire, pace=0.2) as model, httpx2.AsyncClient() as http:
        chaos = f"{url.removesuffix('/v1')}/__aimock/chaos"
        (await http.post(chaos, json=rates)).raise_for_status()
        heard, calm = Heard(), []

        def notice(event: Notice) -> None:
            heard.notices.append(event)
            calm.append(asyncio.ensure_future(http.delete(chaos)))

        listener = Listener(heard.listener.text, heard.listener.reasoning, notice)
        answer = await model.answer(prompt(SYSTEM, HI), listener)
        await asyncio.gather(*calm)
    assert answer.text == heard.text == "Hello from a server that nobody here wrote."
    assert words in heard.notices[0].text


async def test_chaos_that_does_not_pass_is_said_in_a_sentence(wire: str) -> None:
    async with aimock("--chaos-drop", "1") as url, client(url, wire) as model:
        with pytest.raises(ModelError, match="answered 500"):
            await model.answer(prompt(SYSTEM, HI), Heard().listener)


async def test_what_it_does_not_know_is_said_in_its_words(wire: str) -> None:
    async with aimock("--strict") as url, client(url, wire) as model:
        with pytest.raises(ModelError) as error:
            await model.answer(prompt(SYSTEM, {"role": "user", "content": "unheard of"}), Heard().listener)
    assert "fixture" in error.value.message.lower()
