"""A network and servers that fail at every possible place: no answer is lost, doubled or made up."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.model.asking import CALL, Heard, ask, client, delta, piece, prompt
from tests.model.proxy import listening

from pygent.config.settings import Limits
from pygent.errors import ModelError
from pygent.model import Answer
from pygent.model.chat import ChatWire
from pygent.model.fold import Refused, Truncated
from pygent.model.responses import ResponsesWire
from pygent.model.sse import EventReader
from pygent.model.wires import Options
from pygent.replay import Fault, ReplayServer, Reply, Script

WHOLE = Reply(text="abc", reasoning="r", tool_calls=[CALL], fragment=20, times=0)


class Relay:
    """Carries connections to a server, and resets the one whose answer has come to `after` bytes, once.

    `carried` is what it has carried of the last answer.
    """

    def __init__(self, port: int) -> None:
        self.after: int | None = None
        self.carried = b""
        self._port = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(outer):
            there = asyncio.ensure_future(self._ask(reader, outer))
            with contextlib.suppress(OSError):
                await self._answer(inner, writer)
            there.cancel()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                self.carried = b""
                writer.write(data)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if self.after is not None and len(self.carried) + len(data) >= self.after:
                writer.write(data[: self.after - len(self.carried)])
                await writer.drain()
                self.after = None
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return
            self.carried += data
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def relayed(script: Script) -> AsyncIterator[tuple[Relay, str]]:
    async with ReplayServer(script) as server:
        relay = Relay(server.port)
        async with listening(relay.serve) as port:
            yield relay, f"http://127.0.0.1:{port}/v1"


def same(answer: Answer) -> tuple[str, tuple[tuple[str, str, str], ...], bool]:
    calls = tuple((call.call_id, call.name, call.arguments) for call in answer.calls)
    return answer.text, calls, any(call.error for call in answer.calls)


@pytest.mark.timeout(600)
async def test_a_connection_reset_at_every_byte_of_an_answer(wire: str) -> None:
    async with relayed(Script(replies=[WHOLE])) as (relay, url), client(url, wire) as model:
        wanted = same(await model.answer(prompt(), Heard().listener))
        size = len(relay.carried)
        assert size > 1000
        for after in range(size):
            heard, relay.after = Heard(), after
            answer = await model.answer(prompt(), heard.listener)
            assert relay.after is None, "it was reset"
            assert same(answer) == wanted, after
            assert (heard.text, heard.reasoning) == ("abc", "r"), after


async def test_an_answer_cut_at_every_byte_of_its_body_is_cut_or_whole(wire: str) -> None:
    """What a proxy does that ends the body properly although its server broke off."""
    body = await _body(wire)
    folded = []
    for cut in range(len(body)):
        with contextlib.suppress(Truncated):
            folded.append((cut, same(_folded(wire, body[:cut]))))
    whole = same(_folded(wire, body))
    assert folded, "the last bytes say nothing new"
    assert {answer for _, answer in folded} == {whole}
    end = b'"finish_reason"' if wire == "chat" else b"response.completed"
    assert min(cut for cut, _ in folded) > body.rindex(
        b'"finish_reason":"tool_calls"' if wire == "chat" else end
    )


async def _body(wire: str) -> bytes:
    async with relayed(Script(replies=[WHOLE])) as (relay, url), client(url, wire) as model:
        await model.answer(prompt(), Heard().listener)
        chunked = relay.carried.partition(b"\r\n\r\n")[2]
    body = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        body, chunked = body + chunked[: int(size, 16)], chunked[int(size, 16) + 2 :]
    return body


def _folded(wire: str, body: bytes) -> Answer:
    made = (ChatWire if wire == "chat" else ResponsesWire)(Options())
    fold, reader = made.fold(Heard().listener), EventReader()
    for name, lines in [*reader.feed(body), *reader.finish()]:
        fold.event(name, lines)
    return fold.answer()


# -- slow, large, invalid --------------------------------------------------------------------------


async def test_a_server_that_sends_a_byte_at_a_time_and_never_an_event_is_given_up(wire: str) -> None:
    drips = Reply(text="x" * 1000, fragment=1000, wire=1, delay=0.02, times=0)
    with pytest.raises(ModelError) as error:
        await ask([drips], wire, limits=Limits(stall_timeout=0.2))
    assert "stall_timeout" in str(error.value.fix)


async def test_a_server_that_sends_its_head_a_byte_at_a_time_is_given_up(wire: str) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

    async with listening(drip) as port:
        limits = Limits(stall_timeout=0.2)
        async with client(f"http://127.0.0.1:{port}/v1", wire, limits=limits) as model:
            with pytest.raises(ModelError) as error:
                await asyncio.wait_for(model.answer(prompt(), Heard().listener), 60)
    assert "stall_timeout" in str(error.value.fix)


async def test_comments_keep_a_queued_request_alive(wire: str) -> None:
    reply = Reply(text="ok", comments=True, delay=0.15, fragment=1)
    assert (await ask([reply], wire, limits=Limits(stall_timeout=0.5))).text == "ok"


async def test_a_slow_answer_whose_events_come_in_time_is_waited_for(wire: str) -> None:
    reply = Reply(text="slow but sure", delay=0.05, fragment=1)
    heard = Heard()
    assert (await ask([reply], wire, heard=heard, limits=Limits(stall_timeout=0.5))).text == "slow but sure"
    assert heard.notices == []


async def test_a_line_of_thirty_megabytes(wire: str) -> None:
    text = "ä" * (15 << 20)
    answer = await ask([Reply(text=text, fragment=len(text))], wire)
    assert answer.text == text


async def test_an_event_without_an_end_does_not_fill_the_memory(
    wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pygent.model.sse.LONGEST", 1 << 20)
    endless = Reply(fault=Fault(raw="data: " + "x" * (4 << 20)), times=0)
    with pytest.raises(ModelError, match="had no end"):
        await ask([endless], wire)


GOOD = delta(content="a😀b")
BYTES = json.dumps(GOOD, ensure_ascii=False).encode()


@pytest.mark.parametrize("cut", range(1, 4))
async def test_text_that_is_cut_inside_a_character_is_shown_as_far_as_it_goes(cut: int) -> None:
    at = BYTES.index("😀".encode())
    broken = BYTES[: at + cut] + BYTES[at + 4 :]
    raw = b"data: " + broken + b"\n\ndata: " + json.dumps(delta("stop")).encode() + b"\n\n"
    answer = await ask([Reply(fault=Fault(raw_base64=base64.b64encode(raw).decode()))])
    assert answer.text.startswith("a\ufffd")
    assert answer.text.endswith("b")


async def test_a_command_with_a_damaged_byte_is_not_run() -> None:
    call = piece(index=0, id="abc", function={"name": "bash", "arguments": '{"cmd": "rm é"}'})
    data = json.dumps(call, ensure_ascii=False).encode().replace("é".encode(), b"\xc3")
    raw = b"data: " + data + b"\n\ndata: " + json.dumps(delta("tool_calls")).encode() + b"\n\n"
    answer = await ask([Reply(fault=Fault(raw_base64=base64.b64encode(raw).decode()))])
    assert answer.calls[0].arguments == "{}"
    assert "damaged" in str(answer.calls[0].error)


async def test_a_command_with_a_lost_piece_is_not_run() -> None:
    pieces = ['{"cmd": "rm -rf ', "./build", '/"}']
    chunks = [
        f"data: {json.dumps(piece(index=0, id='abc', function={'name': 'bash', 'arguments': text}))}\n\n"
        for text in pieces
    ]
    damaged = (
        chunks[0] + chunks[1][:-12] + "\n\n" + chunks[2] + f"data: {json.dumps(delta('tool_calls'))}\n\n"
    )
    heard = Heard()
    answer = await ask([Reply(fault=Fault(raw=damaged)), Reply(text="ok")], heard=heard)
    assert (answer.text, answer.calls) == ("ok", [])
    assert "damaged" in heard.notices[0].text


async def test_half_a_character_as_an_escape() -> None:
    raw = 'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\ndata: [DONE]\n\n'
    (await ask([Reply(fault=Fault(raw=raw))])).text.encode()


# -- anything --------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "choices",
                        "delta",
                        "message",
                        "content",
                        "tool_calls",
                        "function",
                        "name",
                        "arguments",
                        "id",
                    ),
                    *(
                        "index",
                        "usage",
                        "error",
                        "finish_reason",
                        "type",
                        "text",
                        "thinking",
                        "reasoning_details",
                    ),
                    *(
                        "response",
                        "output",
                        "item",
                        "output_index",
                        "call_id",
                        "summary",
                        "status",
                        "extra_content",
                    ),
                    *("prompt_tokens", "input_tokens", "prompt_tokens_details", "code", "x_groq", "data"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        *("response.output_item.added", "response.output_item.done", "response.completed", "response.failed"),
        *(
            "response.output_text.delta",
            "response.function_call_arguments.done",
            "error",
            "response.incomplete",
        ),
    ]
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            JSON,
            st.builds(
                lambda kind, rest: {**rest, "type": kind},
                KINDS,
                st.dictionaries(
                    st.sampled_from(["response", "item", "output_index", "delta", "arguments"]),
                    JSON,
                    max_size=4,
                ),
            ),
        ),
        max_size=4,
    )
)
def test_any_json_is_an_answer_or_a_failure_and_no_crash(wire: str, values: list[object]) -> None:
    body = (
        b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + b"data: [DONE]\n\n"
    )
    with contextlib.suppress(Truncated, Refused):
        answer = _folded(wire, body)
        assert isinstance(answer.text, str)
        assert all(isinstance(json.loads(call.arguments), dict) for call in answer.calls)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=8))
def test_any_bytes_in_any_pieces(pieces: list[bytes]) -> None:
    whole, cut = EventReader(), EventReader()
    events = whole.feed(b"".join(pieces)) + whole.finish()
    assert events == [event for part in pieces for event in cut.feed(part)] + cut.finish()
