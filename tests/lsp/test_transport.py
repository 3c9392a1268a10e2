"""Frames, however the bytes come, and what waits for a client that reads slowly."""

from __future__ import annotations

import itertools
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import python

from pygent.lsp.outbox import FULL, SLOW, Outbox
from pygent.lsp.transport import MAX_MESSAGE, BadFrame, FrameReader, frame

BODIES = st.lists(st.binary(max_size=200).map(lambda data: b'{"x":"%s"}' % data.hex().encode()), max_size=8)


def read(data: bytes, cuts: list[int], *, strict: bool = False) -> list[bytes | BadFrame]:
    frames, found = FrameReader(strict=strict), []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        found += frames.feed(data[start:end])
    return found


@given(BODIES, st.lists(st.integers(min_value=0), max_size=30))
def test_frames_come_whole_however_the_bytes_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    assert read(b"".join(map(frame, bodies)), cuts) == bodies


@pytest.mark.parametrize(
    "header",
    [
        b"content-length: %d\r\n\r\n",
        b"CONTENT-LENGTH:%d\n\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
        b"Content-Length : %d  \r\nContent-Type: x\n\r\n",
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_headers_in_any_form(header: bytes, strict: bool) -> None:
    assert read(header % 2 + b"{}", [3, 9], strict=strict) == [b"{}"]


JUNK = {
    "negative": b"Content-Length: -5\r\n\r\nabcde",
    "huge": b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "too large": b"Content-Length: %d\r\n\r\n{}" % (MAX_MESSAGE + 1),
    "no number": b"Content-Length: ten\r\n\r\n{}",
    "empty": b"Content-Length:\r\n\r\n{}",
    "no length": b"Content-Type: text/plain\r\n\r\n{}",
    "words": b"hello, is anybody there?\r\n\r\n",
    "no end": b"x" * 200_000,
    "a body without a header": b'{"jsonrpc": "2.0"}\r\n\r\n',
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_after_junk_the_next_message_is_read(junk: bytes, step: int) -> None:
    data = frame(b'{"a":1}') + junk + frame(b'{"b":2}') + frame(b'{"c":3}')
    frames, found = FrameReader(), list[bytes | BadFrame]()
    for start in range(0, len(data), step if len(junk) < 10_000 else 5000):
        found += frames.feed(data[start : start + (step if len(junk) < 10_000 else 5000)])
    bad = [one for one in found if isinstance(one, BadFrame)]
    assert len(bad) == 1
    assert [one for one in found if isinstance(one, bytes)] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


@given(st.binary(max_size=300), st.lists(st.integers(min_value=0), max_size=10))
def test_no_bytes_break_the_reader(junk: bytes, cuts: list[int]) -> None:
    for one in read(junk, cuts):
        assert isinstance(one, bytes | BadFrame)


def test_a_wrong_length_costs_no_more_than_its_neighbour() -> None:
    short = b'Content-Length: 3\r\n\r\n{"a": 1}'
    found = read(short + frame(b'{"b":2}'), [])
    assert [found[0], found[2]] == [b'{"a', b'{"b":2}']
    assert isinstance(found[1], BadFrame)
    long = b"Content-Length: 60\r\n\r\n{}" + frame(b'{"b":2}') * 3 + frame(b'{"c":3}')
    assert read(long, [])[-1] == b'{"c":3}'


def test_a_large_message_is_taken_in_pieces() -> None:
    body = b"x" * 20_000_000
    frames, found = FrameReader(), list[bytes | BadFrame]()
    data = frame(body)
    for start in range(0, len(data), 1 << 16):
        found += frames.feed(data[start : start + (1 << 16)])
    assert found == [body]


HTTP = {
    "post": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}",
    "absolute": b"GET http://127.0.0.1/ HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "another header": b"Content-Length: 2\r\nHost: x\r\n\r\n{}",
    "length first": b"content-length: 2\r\norigin: http://evil\r\n\r\n{}",
}


@pytest.mark.parametrize("request_", HTTP.values(), ids=HTTP.keys())
def test_what_a_web_page_sends_is_no_frame(request_: bytes) -> None:
    (found, *_) = read(request_, [4], strict=True)
    assert isinstance(found, BadFrame)


def test_what_must_arrive_is_kept_and_what_passes_is_left_out() -> None:
    outbox, told = Outbox(), []
    outbox.caught_up = lambda: told.append(True)
    assert outbox.put(b"x" * SLOW, "stored")
    assert outbox.put(b"y", "passing")
    assert not outbox.put(b"z", "passing")
    assert outbox.put(b"s" * (FULL - SLOW), "stored")
    assert outbox.full
    assert not outbox.put(b"event", "stored")
    assert outbox.put(b"answer")
    taken = []
    while more := outbox.take():
        taken += more
    assert taken[-1] == b"answer"
    assert b"event" not in taken
    assert told == [True]
    assert not outbox.full


def test_a_reader_waits_for_room_and_no_longer_when_the_client_is_gone() -> None:
    outbox = Outbox()
    outbox.put(b"x" * (FULL + 1))
    waiting = threading.Thread(target=outbox.wait_for_room)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    outbox.close()
    waiting.join(10)
    assert not waiting.is_alive()


PRINTS = """
import ctypes, os, subprocess, sys
from pygent.lsp.transport import claim_streams
source, target = claim_streams()
print("a stray print")
os.write(1, b"a write to the descriptor\\n")
ctypes.CDLL(None).puts(b"a line of C"); ctypes.CDLL(None).fflush(None)
subprocess.run(["echo", "a child"])
heard = subprocess.run(["cat"], capture_output=True).stdout
os.write(target, b"protocol:" + heard + os.read(source, 100))
"""


def test_nothing_but_the_protocol_gets_into_the_stream() -> None:
    done = subprocess.run(python("-c", PRINTS), input=b"from the client", capture_output=True, check=True)
    assert done.stdout == b"protocol:from the client"
    for words in (b"a stray print", b"a write to the descriptor", b"a line of C", b"a child"):
        assert words in done.stderr
