"""A secret is found in whatever form it is written, in whatever pieces it comes."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from pygent.events import Message, Notice, ToolCall
from pygent.redaction import MASK, SHORTEST, Redactor, stripped

Written = Callable[[str], str]
ESCAPED: list[Written] = [
    str,
    json.dumps,
    lambda text: json.dumps(text).replace("/", "\\/"),
    repr,
    ascii,
    lambda text: repr(text.encode()),
    html.escape,
    lambda text: html.escape(text).replace("&#x27;", "&#39;"),
    urllib.parse.quote,
    urllib.parse.quote_plus,
    lambda text: urllib.parse.quote(text, safe=""),
    lambda text: re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(text, safe="")),
    lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    lambda text: text.encode("ascii", "backslashreplace").decode(),
]
NUMBERED: list[Written] = [
    lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    lambda text: "".join(f"&#{ord(char)};" for char in text),
    lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    lambda text: text.encode().hex(),
]
ENCODED: list[Written] = [str, json.dumps, urllib.parse.quote, urllib.parse.quote_plus]
VISIBLE = st.characters(min_codepoint=33, max_codepoint=126)
KEYS = st.text(VISIBLE, min_size=SHORTEST, max_size=60)


def pieces(secret: str, text: str, cuts: list[int]) -> str:
    redactor, ends = Redactor(secret), sorted({cut % (len(text) + 1) for cut in cuts})
    parts = [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return "".join(map(redactor.feed, parts)) + redactor.feed("", final=True)


@settings(deadline=None)
@given(
    KEYS,
    st.sampled_from([*ESCAPED, *NUMBERED]),
    st.sampled_from([str, json.dumps, repr, None]),
    st.lists(st.integers(0), max_size=5),
)
def test_a_key_is_found_however_it_is_escaped_and_cut(
    key: str, first: Written, again: Written | None, cuts: list[int]
) -> None:
    """Escaped once, again in the same way (None), or within JSON or a Python value."""
    second = first if again is None and first not in NUMBERED else again or str
    text = f"before {second(first(key))} after"
    for clean in (Redactor(key).whole(text), pieces(key, text, cuts)):
        assert MASK in clean
        assert key not in clean
        assert clean.startswith("before ")
        assert clean.endswith(" after")


@settings(deadline=None)
@given(KEYS, st.binary(max_size=5), st.binary(max_size=5), st.sampled_from(ENCODED), st.booleans())
def test_a_key_is_found_in_base64_wherever_it_stands_there(
    key: str, before: bytes, after: bytes, escaped: Written, url: bool
) -> None:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    text = encode(before + key.encode() + after).decode()
    assert MASK in Redactor(key).whole(f"Basic {escaped(text)}")


@settings(deadline=None)
@given(
    st.text(min_size=SHORTEST, max_size=40), st.sampled_from(["", "\n", "\r\n", " \t", "\ufeff", "\u200b\n"])
)
def test_any_text_can_be_a_secret_and_each_of_its_lines_is_one(key: str, around: str) -> None:
    """Also what can't be a key must not be seen, such as a file of several keys in one variable."""
    redactor = Redactor(f"{around}{key}{around}")
    for part in (key, *key.splitlines()):
        if len(bare := stripped(part)) >= SHORTEST:
            for written in (str, json.dumps, repr, ascii):
                assert MASK in redactor.whole(f"< {written(bare)} >")


@settings(deadline=None)
@given(KEYS, st.text(max_size=30), st.text(max_size=30))
def test_a_record_without_its_key_is_still_a_record(key: str, before: str, after: str) -> None:
    notice = Redactor(key).record(Notice(level="info", text=before + key + after, code="x"))
    assert isinstance(notice, Notice)
    assert key not in notice.text
    clean = Notice(level="info", text="nothing", code="x")
    assert Redactor("no-such-key-in-it").record(clean) is clean


@settings(deadline=None)
@given(st.text(st.sampled_from("sk-abc\\%&#x;u0 \n'\""), max_size=200), st.lists(st.integers(0), max_size=8))
def test_text_without_the_key_stays_as_it_is(text: str, cuts: list[int]) -> None:
    secret = "sk-abcabc\\%&'\"abcabc"
    if not Redactor(secret).holds(text):
        assert Redactor(secret).whole(text) == text
        assert pieces(secret, text, cuts) == text


def test_a_placeholder_is_hidden_only_where_it_is_sent() -> None:
    redactor = Redactor("none")
    assert redactor.whole("there are none") == "there are none"
    assert redactor.whole("Authorization: Bearer none") == f"Authorization: {MASK}"


def test_the_tool_calls_of_a_message_are_cleaned_in_their_arguments() -> None:
    arguments = json.dumps({"cmd": "echo 'k\"ey\\of/mine'"})
    given = ToolCall(item_id="itm_2", call_id="call_1", name="bash", arguments=arguments)
    message = Message(item_id="itm_1", role="assistant", text="", tool_calls=[given])
    clean = Redactor('k"ey\\of/mine').record(message)
    assert json.loads(clean.tool_calls[0].arguments) == {"cmd": f"echo '{MASK}'"}


def test_long_runs_of_what_escapes_are_made_of_cost_no_more_than_other_text() -> None:
    """The patterns are given hostile text: they must not try its cuts one after the other."""
    redactor = Redactor("\\n\\x\\\\\\u\\'\"&%\\\\a\\b\\c\\d")
    for text in ("\\" * 100_000, "%25" * 30_000, "&amp;" * 20_000, "\\n\\x" * 25_000):
        assert MASK not in redactor.whole(text)
