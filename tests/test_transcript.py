"""The model's messages are a projection that the strictest server accepts."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pygent.events import Envelope, Message, ToolFinished, TurnFinished, TurnStarted
from pygent.records import NO_USAGE, ToolCall
from pygent.transcript import Transcript, conversation, export


def call(number: int) -> ToolCall:
    return ToolCall(item_id=f"itm_{number}", call_id=f"call_{number}", name="bash", arguments='{"cmd":"x"}')


def said(text="", calls=(), **extra) -> Message:
    return Message(item_id="itm_m", role="assistant", text=text, tool_calls=list(calls), extra=extra)


def done(number: int, output="ok", **changes) -> ToolFinished:
    fields = {"status": "completed", "truncated": False, "duration_ms": 1}
    return ToolFinished(item_id=f"itm_{number}", output=output, **{**fields, **changes})


def ended(status="completed") -> TurnFinished:
    return TurnFinished(status=status, reply="", usage=NO_USAGE)


def messages(*events, image_url=lambda name: None) -> list[dict]:
    transcript = Transcript(image_url)
    for event in events:
        transcript.apply(event)
    return [json.loads(message) for message in transcript.messages]


def test_a_turn_with_calls():
    assert messages(
        TurnStarted(text="do"), said("on it", [call(1), call(2)], reasoning_content="r"), done(2), done(1, "no"),
        said("done"), ended(),
    ) == [
        {"role": "user", "content": "do"},
        {
            "role": "assistant",
            "content": "on it",
            "reasoning_content": "r",
            "tool_calls": [
                {"id": f"call_{n}", "type": "function", "function": {"name": "bash", "arguments": '{"cmd":"x"}'}}
                for n in (1, 2)
            ],
        },
        {"role": "tool", "tool_call_id": "call_2", "content": "ok"},
        {"role": "tool", "tool_call_id": "call_1", "content": "no"},
        {"role": "assistant", "content": "done"},
    ]  # fmt: skip


def test_a_call_without_a_result_gets_one():
    cancelled = messages(TurnStarted(text="a"), said("", [call(1)]), ended("cancelled"))
    assert "cancelled" in cancelled[-1]["content"]
    died = messages(TurnStarted(text="a"), said("", [call(1)]), TurnStarted(text="b"))
    assert "Interrupted" in died[-1]["content"]
    assert died[-1]["content"].endswith("A message from the person: b")


def test_the_answer_to_a_question_joins_its_result():
    got = messages(TurnStarted(text="a"), said("", [call(1)]), done(1, "Asked: why?"), ended("needsInput"),
                   TurnStarted(text="because"))  # fmt: skip
    assert got[-1] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "Asked: why?\n\nThe person answers: because",
    }


def test_two_user_messages_become_one():
    assert messages(TurnStarted(text="a"), ended("failed"), TurnStarted(text="b")) == [
        {"role": "user", "content": "a\n\nb"}
    ]


def test_an_image_follows_the_results():
    got = messages(
        TurnStarted(text="a"), said("", [call(1), call(2)]), done(1, image="x.png"), done(2),
        image_url=lambda name: f"data:{name}",
    )  # fmt: skip
    assert [message["role"] for message in got] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert got[-1]["content"][1] == {"type": "image_url", "image_url": {"url": "data:x.png"}}
    gone = messages(TurnStarted(text="a", images=["gone.png"]))
    assert gone == [{"role": "user", "content": "a"}]


STEPS = st.lists(
    st.sampled_from(
        ["user", "plain", "calls", "one result", "results", "finish", "needs", "cancel", "steer"]
    ),
    max_size=30,
)


@given(STEPS)
def test_any_story_gives_messages_that_a_strict_server_takes(steps):
    transcript = Transcript(lambda name: None)
    open_calls: list[int] = []
    for number, step in enumerate(steps):
        match step:
            case "user":
                transcript.apply(TurnStarted(text="u"))
                open_calls = []
            case "steer" if not open_calls:
                transcript.apply(Message(item_id="i", role="user", text="s"))
            case "plain" if not open_calls:
                transcript.apply(said("p"))
            case "calls" if not open_calls:
                open_calls = [number * 10, number * 10 + 1]
                transcript.apply(said("", [call(n) for n in open_calls]))
            case "one result" | "results":
                count = 1 if step == "one result" else len(open_calls)
                for n in open_calls[:count]:
                    transcript.apply(done(n))
                open_calls = open_calls[count:]
            case "finish" | "needs" | "cancel":
                status = {"finish": "completed", "needs": "needsInput", "cancel": "cancelled"}[step]
                transcript.apply(ended(status))
                open_calls = []
    transcript.close_calls("end")
    check(list(map(json.loads, transcript.messages)))


def check(got: list[dict]) -> None:
    waiting: set[str] = set()
    previous = ""
    for message in got:
        role = message["role"]
        if role == "tool":
            assert message["tool_call_id"] in waiting
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting, "a call without a result"
            assert not (role == "user" and previous in ("user", "tool")), f"user after {previous}"
            waiting = {entry["id"] for entry in message.get("tool_calls", [])}
        previous = role
    assert not waiting


def envelope(event) -> Envelope:
    return Envelope(session_id="ses_1", seq=1, at=5, event=event, turn_id="trn_1")


def test_conversation_and_export():
    story = [envelope(event) for event in (
        TurnStarted(text="do"), said("", [call(1)]), done(1, "```\nfence"), said("done"), ended()
    )]  # fmt: skip
    got = conversation(story)
    assert [(entry["role"], entry["text"]) for entry in got] == [
        ("user", "do"), ("assistant", ""), ("tool", "```\nfence"), ("assistant", "done"),
    ]  # fmt: skip
    assert got[2]["name"] == "bash" and got[2]["status"] == "completed" and got[0]["turnId"] == "trn_1"
    text = export("T", story, "md")
    assert text.startswith(
        "# T\n\n## You\n\ndo\n\n````text bash (completed)\n```\nfence\n````\n\n## Pygent\n\ndone"
    )
    assert json.loads(export("T", story, "json"))["messages"] == got
