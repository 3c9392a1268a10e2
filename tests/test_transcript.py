"""The model's messages are a projection that the strictest server accepts."""

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.events import (
    Compacted,
    Envelope,
    Forked,
    Message,
    ToolFinished,
    TurnFinished,
    TurnStarted,
    TurnUndone,
)
from pygent.records import NO_USAGE, ToolCall
from pygent.replay.strict import problem
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


TEXTS = st.sampled_from(["", "a", "b c", "long " * 200, "\n\nA message from the person: no"])
NUMBERS = st.integers(1, 6)
COMPACTED = st.builds(
    Compacted,
    tokens_before=st.just(2),
    tokens_after=st.just(1),
    form=st.sampled_from(["outputs", "turns", "summary"]),
    through=st.integers(0, 40),
    keep=st.integers(0, 300),
    summary=st.just("What was."),
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["path", "cmd"]),
    st.text(max_size=3) | st.just("x" * 900) | st.just(["y"] * 500),
    max_size=2,
)
CALLS = st.lists(NUMBERS, max_size=3, unique=True).flatmap(
    lambda numbers: st.tuples(
        *(
            st.builds(
                lambda number, name, arguments: ToolCall(
                    item_id=f"itm_{number}",
                    call_id=f"call_{number}",
                    name=name,
                    arguments=json.dumps(arguments),
                ),
                st.just(number),
                st.sampled_from(["bash", "read_file", "write_file"]),
                ARGUMENTS,
            )
            for number in numbers
        )
    )
)
ANY_EVENT = st.one_of(
    st.builds(TurnStarted, text=TEXTS, images=st.lists(st.just("x.png"), max_size=1)),
    st.builds(said, TEXTS, CALLS),
    st.builds(lambda text: Message(item_id="i", role="user", text=text), TEXTS),
    st.builds(done, NUMBERS, TEXTS, image=st.sampled_from([None, "x.png"])),
    st.builds(ended, st.sampled_from(["completed", "needsInput", "cancelled", "failed", "limit"])),
    st.builds(TurnUndone, turn_id=st.just("trn_1"), redone=st.booleans()),
    st.builds(Forked, session_id=st.just("ses_1"), changed=st.booleans()),
    COMPACTED,
)


STEP = st.builds(
    lambda asked, between, output: [
        asked,
        *between,
        *(done(int(call.item_id[4:]), output) for call in asked.tool_calls),
    ],
    st.builds(said, TEXTS, CALLS),
    st.lists(COMPACTED, max_size=1),
    TEXTS,
)
TURN = st.builds(
    lambda start, steps, words, status: [start, *itertools.chain(*steps), *words, ended(status)],
    st.builds(TurnStarted, text=st.sampled_from(["u", "v"])),
    st.lists(STEP, max_size=3),
    st.lists(st.just(said("words")), max_size=1),
    st.sampled_from(["completed", "limit"]),
)
EVENTS = st.lists(
    TURN | st.lists(ANY_EVENT, max_size=2) | st.lists(COMPACTED, min_size=1, max_size=1), max_size=8
).map(lambda blocks: list(itertools.chain(*blocks)))
"""Turns as they are, and in between whatever a process that died may have left."""


def image_url(name: str) -> str:
    return "data:image/png;base64," + "A" * 5000


@settings(max_examples=400, deadline=None)
@given(EVENTS)
def test_any_stored_events_give_messages_that_the_strictest_server_takes(events):
    transcript = Transcript(image_url)
    for event in [*events, TurnStarted(text="And now?")]:
        transcript.apply(event)
    system = {"role": "system", "content": "You are Pygent."}
    request = {"model": "m", "messages": [system, *map(json.loads, transcript.messages)]}
    assert problem(request) is None
    assert "And now?" in json.dumps(request["messages"][-1])
    assert [found.data for found in transcript.entries] == transcript.messages
    assert transcript.size == sum(found.weight for found in transcript.entries)
    for found in transcript.entries:
        assert json.loads(found.data)["content"].endswith(found.said) if found.said else True


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_between_two_compactions_messages_are_only_added(events):
    """A prefix that a server has cached stays, but for a last message that nobody has answered."""
    transcript = Transcript(image_url)
    for event in events:
        before = list(transcript.messages)
        transcript.apply(event)
        if not isinstance(event, Compacted):
            assert transcript.messages[: len(before) - 1] == before[:-1]


@settings(max_examples=100, deadline=None)
@given(EVENTS, COMPACTED)
def test_a_compaction_keeps_what_came_later(events, compacted):
    transcript = Transcript(image_url)
    for event in events:
        transcript.apply(event)
    later = [found for found in transcript.entries if found.seq > compacted.through]
    transcript.apply(compacted)
    assert transcript.messages[len(transcript.messages) - len(later) :] == [found.data for found in later]


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_what_the_person_said_outlives_every_compaction_but_a_summary(events):
    transcript = Transcript(image_url)
    for event in events:
        transcript.apply(event)
    transcript.apply(TurnStarted(text="a word that matters"))
    transcript.apply(said("", [call(9)]))
    transcript.apply(done(9, "endless " * 500))
    transcript.apply(ended("limit"))
    transcript.apply(TurnStarted(text="another word"))
    end = transcript.seq
    for form in ("outputs", "turns"):
        transcript.apply(Compacted(tokens_before=2, tokens_after=1, form=form, through=end, keep=50))
        whole = json.dumps([json.loads(message) for message in transcript.messages])
        assert (whole.count("a word that matters"), whole.count("another word")) == (1, 1)
    assert "endless endless endless endless endless endless endless endless" not in whole


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
