"""`PYGENT_HISTORY_FILE`: the original's form, both ways, and never overwritten when damaged."""

import json

import pytest

from pygent import history
from pygent.errors import PygentError
from pygent.events import Message, ToolFinished, TurnFinished, TurnStarted
from pygent.transcript import Transcript

ORIGINAL = [
    {"role": "system", "content": "You are Pygent, a sandboxed coding assistant."},
    {"role": "user", "content": "list the files"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "bash", "arguments": '{"cmd": "ls"}'}},
            {"id": "call_b", "type": "function", "function": {"name": "bash", "arguments": "{broken"}},
        ],
    },
    {"role": "tool", "content": "$ ls\na.py", "tool_call_id": "call_a"},
    {"role": "tool", "content": "oops", "tool_call_id": "call_b"},
    {"role": "assistant", "content": "There is a.py."},
    {"role": "user", "content": [{"type": "text", "text": "thanks"}]},
]


def test_a_file_of_the_original_is_taken_over(tmp_path):
    path = tmp_path / "history.json"
    path.write_text(json.dumps(ORIGINAL))
    events = history.read(path)
    kinds = [
        TurnStarted,
        Message,
        ToolFinished,
        ToolFinished,
        Message,
        TurnFinished,
        TurnStarted,
        TurnFinished,
    ]
    assert list(map(type, events)) == kinds
    assert events[5].reply == "There is a.py."
    transcript = Transcript(lambda name: None)
    for event in events:
        transcript.apply(event)
    got = [json.loads(message) for message in transcript.messages]
    assert [message["role"] for message in got] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert got[1]["tool_calls"][1]["function"]["arguments"] == "{}"
    assert got[2]["content"] == "$ ls\na.py"


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "deep" / "history.json"
    messages = [json.dumps(message).encode() for message in ORIGINAL[1:2]]
    history.write(path, messages)
    assert json.loads(path.read_text()) == ORIGINAL[1:2]
    assert history.read(path)[0] == TurnStarted(text="list the files")


@pytest.mark.parametrize(
    "damage",
    ["[{", '{"role": "user"}', '[{"content": "x"}]', '[{"role": "wizard", "content": ""}]', '[{"role": "tool"}]',
     "[1]", '[{"role":"assistant","tool_calls":[{}]}]', "\xff"],
)  # fmt: skip
def test_a_damaged_file_is_named_and_left_alone(tmp_path, damage):
    path = tmp_path / "history.json"
    path.write_bytes(damage.encode("latin-1"))
    with pytest.raises(PygentError, match=r"history\.json is damaged"):
        history.read(path)
    aside = history.set_aside(path)
    assert aside.read_bytes() == damage.encode("latin-1")
    assert not path.exists()


def test_no_file_and_an_empty_file_are_no_conversation(tmp_path):
    assert history.read(tmp_path / "none.json") == []
    (tmp_path / "empty.json").write_text(" \n")
    assert history.read(tmp_path / "empty.json") == []
