"""What an assistant writes, block by block as it streams, drawn for a terminal."""

from __future__ import annotations

import io
import re
from typing import Any, ClassVar

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


def split(text: str) -> tuple[str, str]:
    """The blocks of a Markdown text that are complete, and the rest that may still change.

    A block is complete when an empty line and the start of another, not indented, have followed it, or its
    code fence has closed; the two parts together are the text.
    """
    at = place = 0
    fence, blank = "", False
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if fence:
            if (
                found
                and found[1].startswith(fence)
                and not line[found.end() :].strip()
                and line.endswith("\n")
            ):
                fence, at = "", place + len(line)
        elif found:
            fence, at = found[1], at if not blank else place
        elif not line.strip():
            blank = True
        else:
            if blank and not line[0].isspace():
                at = place
            blank = False
        place += len(line)
    return text[:at], text[at:]


def tail(text: str, lines: int) -> str:
    """The last lines of a block that is being written; of code inside of its fence."""
    kept = text.splitlines()
    found = _FENCE.match(text)
    if found and len(kept) > lines:
        return "\n".join([kept[0], *kept[-lines:]])
    return "\n".join(kept[-lines:])


def draw(text: str, columns: int, *, colour: bool) -> str:
    """A Markdown text as lines for a terminal of so many columns; without colours it has no escapes."""
    from rich.console import Console as Rich  # noqa: PLC0415 - a tenth of a second, once there is text
    from rich.theme import Theme  # noqa: PLC0415

    rich = Rich(
        file=io.StringIO(),
        width=max(20, columns),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        legacy_windows=False,
        theme=Theme({"markdown.code": "cyan"}),
        _environ={},
    )
    rich.print(_markdown()(text, code_theme="ansi_dark", hyperlinks=False))
    drawn = rich.file.getvalue()  # type: ignore[attr-defined]
    lines: list[str] = []
    for line in drawn.split("\n"):
        if _ESCAPE.sub("", line).strip():
            lines.append(line.rstrip())
        elif lines and lines[-1]:  # the frames of tables are lines of blanks
            lines.append("")
    return "\n".join(lines).rstrip()


def _markdown() -> Any:
    """rich's Markdown with plain headings, and code that can be copied: no frame, no background."""
    from rich.markdown import CodeBlock, Heading, Markdown  # noqa: PLC0415
    from rich.syntax import Syntax  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Plain(Heading):
        def __rich_console__(self, console: Any, options: Any) -> Any:
            yield Text(self.text.plain, style="bold")

    class Code(CodeBlock):
        def __rich_console__(self, console: Any, options: Any) -> Any:
            code = str(self.text).rstrip()
            yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, background_color="default")

    class Answer(Markdown):
        elements: ClassVar[dict[str, Any]] = {
            **Markdown.elements,
            "heading_open": Plain,
            "fence": Code,
            "code_block": Code,
        }

    return Answer
