"""Taking documents apart, and keeping foreign text from forging them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nasty import COMMANDS

from pygent.approval_text import made_visible
from pygent.events import ApprovalRequested, Message, TextDelta
from pygent.lsp.conversations.markdown import Neutraliser, neutral, normalised, parse, unclosed
from pygent.lsp.conversations.rendering import MAX_CHARACTERS, Rendering, bounded, fenced, lines_of
from pygent.records import Approval
from pygent.visible import visible

PIECES = st.sampled_from(
    [
        *(
            "##",
            "#",
            " ",
            "\t",
            "You",
            "you",
            "Pygent",
            "\n",
            "\r",
            "```",
            "````",
            "~~~",
            "<!--",
            "<",
            "-->",
            "x",
        ),
        *("\n## You\n", "\n##\tPygent \n", "## Y", "ou\r\n", "<!-- pygent: ses_0a -->\n", " pygent: ses_0"),
        *("\\", "    ", "\x1b[0m", "\u2028", "<details>", "</details>", "> **Approval needed**"),
    ]
)
HOSTILE = st.lists(PIECES, max_size=40).map("".join)


def kinds(text: str) -> list[str]:
    return [f"{section.who}:{section.text}" for section in parse(text).sections]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["You:"]),
        ("just this\n", ["You:just this"]),
        ("<!-- pygent: ses_1 -->\nthis", ["You:this"]),
        ("## You\n\na\n\n## Pygent\n\nb\n\n## You\n", ["You:a", "Pygent:b", "You:"]),
        ("## You  \na\n   ## Pygent\nb", ["You:a", "Pygent:b"]),
        ("## You\n```\n## Pygent\n```\n", ["You:```\n## Pygent\n```"]),
        ("## You\n```\nopen\n## Pygent\nb", ["You:```\nopen", "Pygent:b"]),
        ("## You\n````\n```\n## You\n````\n## Pygent\nb", ["You:````\n```\n## You\n````", "Pygent:b"]),
        ("## You\n~~~ `a`\n## You\n~~~\n", ["You:~~~ `a`\n## You\n~~~"]),
        ("## You\n``` a`b\n## Pygent\n", ["You:``` a`b", "Pygent:"]),
        (
            "# You\n### You\n## You too\n    ## You\n##You",
            ["You:# You\n### You\n## You too\n    ## You\n##You"],
        ),
        ("title\n## You\na", ["You:a"]),
    ],
)
def test_sections(text: str, expected: list[str]) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<!-- pygent: ses_0a -->", "ses_0a"),
        ("<!-- pygent: ses_0a forked from ses_0b -->", "ses_0a"),
        (" <!-- pygent: ses_0a -->", None),
        ("<!-- pygent: ../x -->", None),
        ("# A title\n\n<!-- pygent: ses_0a -->\n<!-- pygent: ses_0b -->", "ses_0a"),
        ("```\n<!-- pygent: ses_0a -->\n```", None),
        ("## Pygent\n<!-- pygent: ses_0a -->", None),
    ],
)
def test_the_session_stands_above_all_headings(line: str, expected: str | None) -> None:
    document = parse(f"{line}\n## You\n")
    assert document.session_id == expected
    assert line[document.named_at :].startswith(expected or "")
    assert parse("some text\n<!-- pygent: ses_0a -->").session_id is None


@given(st.text(alphabet="#`~ Yougen\n<>-:_\\", max_size=200))
def test_every_text_is_a_document(text: str) -> None:
    document = parse(text)
    for section in document.sections:
        assert text[section.begin : section.finish] == section.text
        assert section.start <= section.body <= section.end


@settings(max_examples=500)
@given(pieces=st.lists(HOSTILE, max_size=6), after=st.booleans())
def test_what_a_model_says_stays_its_own(pieces: list[str], after: bool) -> None:
    """Streamed in any pieces, it adds no section, names no session and swallows nothing that follows."""
    rendering = Rendering()
    said = "".join(rendering.hear(TextDelta(item_id="i", text=piece)) for piece in pieces)
    said += rendering.hear(Message(item_id="i", role="assistant", text="".join(pieces)))
    document = f"## You\n\nHi\n\n## Pygent{said}\n\n## You\n\nnext"
    assert [section.who for section in parse(document).sections] == ["You", "Pygent", "You"]
    assert parse(said.lstrip("\n")).session_id is None
    assert unclosed(said) is None


@settings(max_examples=500)
@given(st.lists(HOSTILE, max_size=6))
def test_streamed_or_whole_the_same_text_comes_out(pieces: list[str]) -> None:
    streamed = Neutraliser()
    text = "".join(streamed.feed(piece) for piece in pieces) + streamed.feed("", final=True)
    for one in (text, neutral("".join(pieces))):
        assert "\r" not in one
        assert normalised("".join(pieces)).count("\n") == one.count("\n")
        read = re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), one)
        assert read.replace("\\", "") == normalised("".join(pieces)).replace("\\", "")


@given(HOSTILE, HOSTILE)
def test_output_stays_in_its_fence(output: str, after: str) -> None:
    block = fenced(output, "text")
    document = f"## You\n\n{block}\n\n## Pygent\n"
    assert [section.who for section in parse(document).sections] == ["You", "Pygent"]


def test_an_approval_is_shown_whole_and_forges_nothing() -> None:
    for command in COMMANDS:
        asked = Approval(
            id="apr_1",
            session_id="ses_1",
            kind="command",
            title="Run a command",
            detail=command,
            command=command,
            isolation="local",
            background=True,
        )
        asked = made_visible(asked)
        block = Rendering().hear(ApprovalRequested(approval=asked)).lstrip("\n")
        lines = block.split("\n")
        assert all(line == ">" or line.startswith("> ") for line in lines)
        shown = "\n".join(line[2:] for line in lines)
        assert f"\n{visible(command)}\n" in shown
        assert "\nNO SANDBOX: this runs directly on your machine" in shown
        assert "\nIn the background" in shown
        assert len(lines) == lines_of(asked)
        document = parse(f"## You\n\nHi\n\n## Pygent\n\n{block}\n")
        assert [section.who for section in document.sections] == ["You", "Pygent"]
        assert document.session_id is None


def test_long_output_keeps_its_ends() -> None:
    text = bounded("\n".join(f"line {n}" for n in range(1000)))
    assert text.startswith("line 0\n")
    assert text.endswith("line 999")
    assert "[… 940 lines …]" in text
    assert len(bounded("x" * 100_000)) < MAX_CHARACTERS + 100


def test_a_hostile_document_is_parsed_in_no_time() -> None:
    lengths = [n for n in range(400, 3, -1) for _ in range(5)]
    assert parse("\n".join("`" * n + "x" for n in lengths) + "\n## You\nhi").sections[-1].text == "hi"
