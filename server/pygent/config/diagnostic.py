"""What is wrong with the settings, and where: diagnostics and the origins that they point to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pygent.config import places
from pygent.records import Wire

if TYPE_CHECKING:
    from pygent.config.bindings import Bindings
    from pygent.config.outline import Outline

Layer = Literal["flag", "environment", "editor", "snapshot", "dotenv", "workspace", "home", "default"]
Severity = Literal["error", "warning", "hint"]


class Related(Wire, frozen=True, kw_only=True):
    """Another place that has to do with a problem; lines and columns as of `Diagnostic`."""

    message: str
    file: str
    line: int
    column: int
    end_line: int
    end_column: int


class Diagnostic(Wire, frozen=True, kw_only=True):
    """A problem of the settings; lines and columns from 1, in code points, the end exclusive.

    `code` is a stable slug; `key` the setting as written; `near` the name that was probably meant.
    """

    severity: Severity
    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    key: str | None = None
    fix: str | None = None
    near: str | None = None
    related: tuple[Related, ...] = ()

    @property
    def text(self) -> str:
        """The message without the place at its beginning."""
        return self.message.removeprefix(_where(self.file, self.line, self.column))


class File:
    """A settings file as it was read; the places of its keys are looked up only when somebody asks."""

    def __init__(self, path: Path, text: str, *, dotenv: bool = False) -> None:
        self.path = path
        self.text = text
        self.dotenv = dotenv

    @functools.cached_property
    def outline(self) -> Outline:
        """The statements of a TOML file."""
        from pygent.config.outline import Outline  # noqa: PLC0415 - only for places

        return Outline(self.text)

    @functools.cached_property
    def bindings(self) -> Bindings:
        """The bindings of a `.env` file."""
        from pygent.config.bindings import Bindings  # noqa: PLC0415 - only where there is a .env

        return Bindings(self.text)

    def place(self, path: places.Path) -> places.Place | None:
        """Where a key stands, or what it is in."""
        return (self.bindings if self.dotenv else self.outline).places.get(path)

    def span(self, place: places.Range) -> places.Span:
        """Offsets as lines and columns."""
        return (self.bindings if self.dotenv else self.outline).span(place)

    def problem(
        self,
        severity: Severity,
        code: str,
        text: str,
        span: places.Span | None = None,
        **more: object,
    ) -> Diagnostic:
        """A diagnostic whose message begins with its place; `more` are further fields."""
        line, column = (None, None) if span is None else (span.line, span.column)
        return Diagnostic(
            severity=severity,
            code=code,
            message=_where(str(self.path), line, column) + text,
            file=str(self.path),
            line=line,
            column=column,
            end_line=None if span is None else span.end_line,
            end_column=None if span is None else span.end_column,
            **more,  # type: ignore[arg-type]
        )

    def related(self, message: str, place: places.Range) -> Related:
        """Another place, and what it has to do with the matter."""
        span = self.span(place)
        return Related(message=message, file=str(self.path), **span._asdict())


@dataclass(frozen=True, slots=True)
class Origin:
    """Who set a value: the layer, and the variable or key as it was written.

    `at` is its path in a `file`.
    """

    layer: Layer
    name: str = ""
    file: File | None = None
    at: places.Path = ()

    @property
    def place(self) -> places.Place | None:
        """Where it stands; None outside of files."""
        return self.file.place(self.at) if self.file is not None else None

    @property
    def span(self) -> places.Span | None:
        """Where the key stands; None outside of files."""
        place = self.place
        return None if place is None or self.file is None else self.file.span(place.key)

    def value_span(self, item: int | None = None) -> places.Span | None:
        """Where the value stands, or an item of it."""
        if self.file is None:
            return None
        inner = None if item is None else self.file.place((*self.at, item))
        place = inner or self.place
        if place is None or place.value.start == place.value.end:
            return self.span
        return self.file.span(place.value)

    def problem(
        self,
        severity: Severity,
        code: str,
        text: str,
        fix: str | None = None,
        *,
        span: places.Span | None = None,
        near: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> Diagnostic:
        """A diagnostic at this place, or at another one of the file."""
        key = self.name or None
        if self.file is None:
            return Diagnostic(severity=severity, code=code, message=text, fix=fix, key=key, near=near)
        found = span or self.span
        return self.file.problem(severity, code, text, found, fix=fix, key=key, near=near, related=related)


def describe(origin: Origin) -> str:
    """The origin at the beginning of a message."""
    names = {"flag": "the flag for ", "editor": "the editor's setting ", "snapshot": "the snapshot's "}
    return f"{names.get(origin.layer, '')}`{origin.name}`"


def _where(file: str | None, line: int | None, column: int | None) -> str:
    if file is None:
        return ""
    return f"{file}: " if line is None else f"{file}:{line}:{column}: "
