"""The scripted model server: strict, and its own tracks for each conversation."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import python

from pygent.replay.script import Match, Reply, Script, ScriptedCall, Tracks
from pygent.replay.strict import problem

SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "u"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "r"}


def request(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **fields}


@pytest.mark.parametrize(
    "good",
    [
        request(SYSTEM, USER),
        request(USER),
        request(SYSTEM, USER, ASKED, RESULT),
        request(SYSTEM, USER, {"role": "assistant", "content": "a"}, USER, stream=True),
    ],
)
def test_what_is_in_order_passes(good: Any) -> None:
    assert problem(good) is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (request(SYSTEM, USER, colour="red"), "colour"),
        (request(), "messages"),
        ({"messages": [USER]}, "model"),
        (request(USER, SYSTEM), "System message"),
        (request(SYSTEM, SYSTEM, USER), "System message"),
        (request(USER, USER), "alternate"),
        (request(USER, ASKED, RESULT, USER), "User after Tool"),
        (request(USER, ASKED), "no result"),
        (request(USER, ASKED, USER), "no result"),
        (request(USER, RESULT), "no call"),
        (request(USER, ASKED, RESULT, RESULT), "no call"),
        (request({"role": "user", "content": ""}), "empty"),
        (request({"role": "developer", "content": "x"}), "role"),
        (request({**USER, "id": 1}), "id"),
        (request(USER, {"role": "assistant", "content": None}, USER), "neither"),
        (request(USER, {**ASKED, "tool_calls": []}, USER), "empty"),
        (request(USER, {**ASKED, "tool_calls": [{**CALL, "index": 0}]}, RESULT), "tool call"),
        (
            request(
                USER, {**ASKED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "["}}]}, RESULT
            ),
            "JSON object",
        ),
        (request(USER, {"role": "assistant", "content": "end"}), "last message"),
        (request(USER, tools=[]), "tools"),
        (request(USER, tools=[{"type": "function", "function": {"name": "x", "parameters": {}}}]), "schema"),
    ],
)
def test_what_a_strict_server_refuses_is_refused(bad: Any, words: str) -> None:
    assert words in (problem(bad) or "")


def test_each_conversation_goes_its_own_way() -> None:
    script = Script(
        replies=[
            Reply(match=Match(first="tests"), text="task {{step}}"),
            Reply(text="one"),
            Reply(text="two {{step}}"),
        ]
    )
    tracks = Tracks(script)

    def say(first: str) -> str | None:
        reply = tracks.next([SYSTEM, {"role": "user", "content": first}])
        return reply.text if reply else None

    assert [say("a"), say("write tests"), say("a"), say("b"), say("a")] == [
        "one",
        "task 1",
        "two 2",
        "one",
        None,
    ]


def test_the_last_task_of_the_messages_is_filled_in() -> None:
    script = Script(replies=[Reply(tool_calls=[ScriptedCall(name="f", arguments={"id": "{{task}}"})])])
    reply = Tracks(script).next([USER, {"role": "tool", "content": "Task tsk_0a1 and tsk_0b2 run."}])
    assert reply is not None
    assert reply.tool_calls[0].arguments == {"id": "tsk_0b2"}


def test_the_program_serves_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"replies": [{"text": "hello"}]}))
    journal = tmp_path / "journal"
    program = subprocess.Popen(
        python("-m", "pygent.replay", str(script), "--journal", str(journal)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdout is not None
    address = json.loads(program.stdout.readline())["baseUrl"]

    def post(body: Any) -> Any:
        data = json.dumps(body).encode()
        return json.load(urllib.request.urlopen(f"{address}/chat/completions", data, timeout=10))

    assert post(request(USER))["choices"][0]["message"]["content"] == "hello"
    with pytest.raises(urllib.error.HTTPError) as error:
        post(request(USER))
    assert json.load(error.value)["error"]["code"] == "script_exhausted"
    error.value.close()
    assert len(journal.read_text().splitlines()) == 2
    program.communicate(timeout=10)
    assert program.returncode == 0


def test_a_wrong_script_is_named(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"replies": [{"txt": "x"}]}')
    done = subprocess.run(
        python("-m", "pygent.replay", str(script)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "txt" in done.stderr
    assert "Traceback" not in done.stderr
