"""What goes with a message: passages, diagnostics and images of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pygent.errors import InvalidArgument, PygentError, ToolError
from pygent.lsp.commands import field_of
from pygent.paths import path_of

if TYPE_CHECKING:
    from pygent.session import Session


class _Line(msgspec.Struct):
    line: int


class _Span(msgspec.Struct):
    start: _Line
    end: _Line


class _Markup(msgspec.Struct):
    value: str


class _Problem(msgspec.Struct):
    message: str | _Markup = ""
    range: _Span | None = None


class _Attachment(msgspec.Struct):
    uri: str | None = None
    image: str | None = None
    range: _Span | None = None
    diagnostics: list[_Problem] | None = None


def with_attachments(
    session: Session, text: str, attachments: list[dict[str, Any]]
) -> tuple[str, list[Path]]:
    """The message with what is attached quoted below it, and the images.  Raises InvalidArgument."""
    parts, images = [text], []
    for number, given in enumerate(attachments):
        where = f"attachments[{number}]"
        attachment = _attachment(given, where)
        path = path_of(attachment.image or attachment.uri or "")
        if path is None:
            raise InvalidArgument(where, "an object with the file: URI of a file in `uri` or `image`")
        if attachment.image:
            images.append(path)
        elif attachment.diagnostics is not None:
            parts.append(_diagnostics(_name(session, path), attachment.diagnostics))
        else:
            parts.append(_quoted(session, path, attachment.range))
    return "\n\n".join(parts), images


def _attachment(given: dict[str, Any], where: str) -> _Attachment:
    try:
        return msgspec.convert(given, _Attachment)
    except msgspec.ValidationError as error:
        field, expected = field_of(str(error))
        raise InvalidArgument(f"{where}.{field}", expected) from error


def _name(session: Session, path: Path) -> str:
    try:
        return session.folder.workspace.relative(path)
    except ValueError:
        return str(path)


def _quoted(session: Session, path: Path, span: _Span | None) -> str:
    try:
        lines = session.folder.workspace.read(path).content.split("\n")
    except (ToolError, ValueError) as error:
        raise PygentError("notFound", f"An attachment can't be used: {error}") from error
    first, last = (0, len(lines) - 1) if span is None else (max(span.start.line, 0), span.end.line)
    text = "\n".join(lines[first : last + 1])
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{_name(session, path)}, lines {first + 1} to {last + 1}:\n{fence}\n{text}\n{fence}"


def _diagnostics(name: str, problems: list[_Problem]) -> str:
    lines = (f"- line {one.range.start.line + 1 if one.range else 1}: {_words(one)}" for one in problems)
    return f"Problems in {name}:\n" + "\n".join(lines)


def _words(problem: _Problem) -> str:
    """The message; that of LSP 3.18 may be Markdown."""
    return problem.message if isinstance(problem.message, str) else problem.message.value
