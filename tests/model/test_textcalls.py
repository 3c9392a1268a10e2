"""Tool calls that come as text: recognised where they are meant, explained where they may be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.asking import TOOLS, Heard, ask, client, prompt

from pygent.model.textcalls import found, tool_names, written
from pygent.replay import ReplayServer, Reply, Script

NAMES = frozenset({"bash", "read_file"})
LS = '{"name": "bash", "arguments": {"cmd": "ls"}}'
WRITTEN = {
    "qwen, hermes": f"<tool_call>\n{LS}\n</tool_call>",
    "with words before": f"I look.\n\n<tool_call>{LS}</tool_call>\n",
    "arguments as text": f"<tool_call>{json.dumps({'name': 'bash', 'arguments': json.dumps({'cmd': 'ls'})})}</tool_call>",
    "llama: a function tag": '<function=bash>{"cmd": "ls"}</function>',
    "llama: a python tag": '<|python_tag|>{"name": "bash", "parameters": {"cmd": "ls"}}',
    "mistral": f"[TOOL_CALLS][{LS}]",
    "phi": f"<|tool_call|>{LS}<|/tool_call|>"[: len(f"<|tool_call|>{LS}")],
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
async def test_calls_as_text(wire: str, text: str) -> None:
    heard = Heard()
    script = Script(replies=[Reply(text=text, times=0)])
    async with ReplayServer(script) as server, client(server.base_url, wire) as model:
        for _ in range(2):
            answer = await model.answer(prompt(), heard.listener)
            calls = [(call.name, json.loads(call.arguments)) for call in answer.calls]
            assert calls == [("bash", {"cmd": "ls"})]
            assert answer.text in ("", "I look.")
        assert len(model.adaptations("replayed")) == 1
    assert len(heard.said("adapted")) == 1, "it is said once"


async def test_several_calls_as_text() -> None:
    answer = await ask([Reply(text=f"<tool_call>{LS}</tool_call>\n<tool_call>{LS}</tool_call>")])
    assert len({call.call_id for call in answer.calls}) == 2


NOT_MEANT = {
    "words after it": f"<tool_call>{LS}</tool_call> is how it looks.",
    "words between": f"<tool_call>{LS}</tool_call> and <tool_call>{LS}</tool_call>",
    "a tool that was not offered": '<tool_call>{"name": "format_disk", "arguments": {}}</tool_call>',
    "not closed": f"<tool_call>{LS}",
    "no JSON": "<tool_call>{ls}</tool_call>",
    "arguments that are no object": '<tool_call>{"name": "bash", "arguments": [1]}</tool_call>',
    "no name": '<tool_call>{"arguments": {}}</tool_call>',
    "an empty list": "[TOOL_CALLS][]",
}


@pytest.mark.parametrize("text", NOT_MEANT.values(), ids=NOT_MEANT.keys())
async def test_what_only_looks_like_a_call_is_not_run_and_explained(wire: str, text: str) -> None:
    heard = Heard()
    answer = await ask([Reply(text=text)], wire, heard=heard)
    assert (answer.text, answer.calls) == (text, [])
    (notice,) = heard.notices
    assert (notice.code, notice.level) == ("textCall", "warning")


@pytest.mark.parametrize("text", ["hello", LS, "a < b", "the function=x"])
async def test_other_texts_are_texts(text: str) -> None:
    heard = Heard()
    answer = await ask([Reply(text=text)], heard=heard)
    assert (answer.text, answer.calls, heard.notices) == (text, [], [])


async def test_without_tools_nothing_is_a_call() -> None:
    text = f"<tool_call>{LS}</tool_call>"
    assert (await ask([Reply(text=text)], sent=prompt(tools=None))).calls == []


def test_the_names_of_tools() -> None:
    assert tool_names(TOOLS) == {"bash"}
    assert tool_names(None) == frozenset()


@given(
    st.text(
        alphabet=st.sampled_from("<tool_call>/{}[]\"': nameTOOL_CALLS|python_tag=function\n"), max_size=80
    )
)
def test_any_text_is_looked_at_without_a_crash(text: str) -> None:
    found(text, NAMES)
    written(text)
