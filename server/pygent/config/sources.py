"""The layers of settings as they are written down: who says what, and where."""

from __future__ import annotations

import difflib
import functools
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pygent.config import positions
from pygent.config.settings import PERSONAS_JSON, TABLE, VARIABLES, Setting
from pygent.records import Wire

Layer = Literal["flag", "environment", "editor", "dotenv", "workspace", "home", "default"]
MAX_FILE = 1024 * 1024
"""Bytes of a settings file; a larger one is no settings file."""

_SECRETS = {"api_key", "openai_api_key", "apikey"}
_TABLES = {key.partition(".")[0] for key in TABLE if "." in key}


class Diagnostic(Wire, frozen=True, kw_only=True):
    """A problem of the settings; lines and columns from 1, in code points, the end exclusive.

    `code` is a stable slug; `key` the setting as written.
    """

    severity: Literal["error", "warning", "hint"]
    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    key: str | None = None
    fix: str | None = None


class File:
    """A settings file as it was read; the places of its keys are looked up only when somebody asks."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text

    @functools.cached_property
    def places(self) -> dict[positions.Path, positions.Place]:
        """The places of all TOML keys by their path."""
        return positions.positions(self.text)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who set a value: the layer, and the variable or key as it was written.

    `at` is its path in a TOML `file`; `row` its line, from 1, in a `.env` file.
    """

    layer: Layer
    name: str = ""
    file: File | None = None
    at: positions.Path = ()
    row: int | None = None

    @property
    def span(self) -> positions.Span | None:
        """Where the key stands; None outside of files."""
        if self.row is not None:
            return positions.Span(self.row, 1, self.row, len(self.name) + 1)
        place = self.file.places.get(self.at) if self.file is not None else None
        return None if place is None else place.key

    def problem(
        self, severity: Literal["error", "warning", "hint"], code: str, message: str, fix: str | None = None
    ) -> Diagnostic:
        """A diagnostic at this place."""
        span = self.span
        return Diagnostic(
            severity=severity,
            code=code,
            message=message,
            fix=fix,
            key=self.name or None,
            file=None if self.file is None else str(self.file.path),
            line=None if span is None else span.line,
            column=None if span is None else span.column,
            end_line=None if span is None else span.end_line,
            end_column=None if span is None else span.end_column,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting as a layer has it, not yet understood."""

    setting: Setting
    raw: Any
    origin: Origin


@dataclass(slots=True)
class Reading:
    """What a layer says, and what is wrong with how it says it.  `broken`: the file could not be read."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    broken: bool = False


def mapping(layer: Layer, values: Mapping[str, object]) -> Reading:
    """Flags or the editor's settings, by `pygent.toml` key; tables may be nested or dotted."""
    reading = Reading()
    for name, raw in values.items():
        if raw is None or raw == "":
            continue
        if name in _TABLES and isinstance(raw, Mapping):
            inner = mapping(layer, {f"{name}.{key}": value for key, value in raw.items()})
            reading.entries += inner.entries
            reading.problems += inner.problems
        elif name in TABLE:
            reading.entries.append(Entry(TABLE[name], raw, Origin(layer, name)))
        else:
            reading.problems.append(_unknown(Origin(layer, name), TABLE))
    return reading


def environment(environ: Mapping[str, str]) -> Reading:
    """The process environment; an empty variable counts as unset."""
    return _variables((name, value, Origin("environment", name)) for name, value in environ.items())


def dotenv(path: Path) -> Reading:
    """A `.env` file, parsed and never loaded: its values don't reach any other program."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - the rest of dotenv is not needed

    text = _read(path)
    if not isinstance(text, str):
        return text
    file, found, problems = File(path, text), [], []
    for binding in parse_stream(io.StringIO(text)):
        row = binding.original.line
        row += len(binding.original.string) - len(binding.original.string.lstrip("\n"))
        if binding.error:
            origin = Origin("dotenv", "", file, row=row)
            problems.append(origin.problem("error", "syntax", f"{path}:{row}: this line is not NAME=VALUE."))
        elif binding.key and binding.value:
            found.append((binding.key, binding.value, Origin("dotenv", binding.key, file, row=row)))
    reading = _variables(found)
    reading.problems += problems
    return reading


def toml(path: Path, layer: Layer) -> Reading:
    """A `pygent.toml`; a file that is not there says nothing."""
    import tomli  # noqa: PLC0415 - only where there is a file

    text = _read(path)
    if not isinstance(text, str):
        return text
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        line, column = error.lineno, error.colno
        message = f"{path}:{line}:{column}: {error.msg}."
        at = Diagnostic(
            severity="error",
            code="syntax",
            message=message,
            file=str(path),
            line=line,
            column=column,
            end_line=line,
            end_column=column + 1,
        )
        return Reading(problems=[at], broken=True)
    except RecursionError:
        return _unreadable(path, "is nested too deeply")
    reading, file = Reading(), File(path, text)
    for name, raw in document.items():
        _take(reading, Origin(layer, name, file, (name,)), raw)
    return reading


def _take(reading: Reading, origin: Origin, raw: Any) -> None:
    """Sort one key of a TOML file, those of its tables included."""
    name = origin.name
    if name.lower() in _SECRETS:
        reading.problems.append(_secret(origin))
    elif name in _TABLES and isinstance(raw, dict):
        for key, value in raw.items():
            _take(reading, Origin(origin.layer, f"{name}.{key}", origin.file, (*origin.at, key)), value)
    elif name in TABLE:
        if name == "task_personas" and isinstance(raw, list):
            raw = [_persona(reading, origin, index, item) for index, item in enumerate(raw)]
        reading.entries.append(Entry(TABLE[name], raw, origin))
    else:
        reading.problems.append(_unknown(origin, TABLE))


def _persona(reading: Reading, origin: Origin, index: int, item: Any) -> Any:
    """A persona's table without the keys that TOML put into it by accident; those are taken as top-level."""
    if not isinstance(item, dict):
        return item
    for key, value in item.items():
        if key in ("name", "description"):
            continue
        inner = Origin(origin.layer, key, origin.file, ("task_personas", index, key))
        if key in TABLE:
            span = inner.span
            where = "" if span is None or inner.file is None else f"{inner.file.path}:{span.line}: "
            reading.problems.append(
                inner.problem(
                    "warning",
                    "wrongTable",
                    f"{where}`{key}` stands inside a [[task_personas]] table; it is taken as top-level.",
                    "Move the line above the first [[task_personas]].",
                )
            )
        _take(reading, inner, value)
    return {key: value for key, value in item.items() if key in ("name", "description")}


def _variables(found: Iterable[tuple[str, str, Origin]]) -> Reading:
    reading, by_name = Reading(), {}
    for name, value, origin in found:
        if not value.strip():
            continue
        if name in VARIABLES:
            by_name[name] = Entry(VARIABLES[name], value, origin)
        elif name.startswith("PYGENT_") and difflib.get_close_matches(name, VARIABLES, 1, 0.85):
            reading.problems.append(_unknown(origin, VARIABLES))
    if PERSONAS_JSON in by_name:
        by_name.pop("PYGENT_TASK_PERSONAS", None)
    reading.entries = list(by_name.values())
    return reading


def _secret(origin: Origin) -> Diagnostic:
    return origin.problem(
        "error",
        "secretInFile",
        f"{_where(origin)}a key does not belong into pygent.toml and is not used.",
        "Move it to OPENAI_API_KEY in .env or the environment.",
    )


def _unknown(origin: Origin, known: Iterable[str]) -> Diagnostic:
    near = difflib.get_close_matches(origin.name, known, 1)
    fix = f"Did you mean `{near[0]}`?" if near else "See docs/configuration.md for the settings."
    return origin.problem(
        "warning", "unknownKey", f"{_where(origin)}`{origin.name}` is no setting of Pygent.", fix
    )


def _where(origin: Origin) -> str:
    span = origin.span
    if origin.file is None:
        return ""
    return f"{origin.file.path}: " if span is None else f"{origin.file.path}:{span.line}:{span.column}: "


def describe(origin: Origin) -> str:
    """The origin at the start of a message: file, line and column, or the variable, or the layer."""
    if origin.file is not None:
        return _where(origin) + f"`{origin.name}`"
    names = {"flag": "the flag for ", "editor": "the editor's setting "}
    return f"{names.get(origin.layer, '')}`{origin.name}`"


def _read(path: Path) -> str | Reading:
    """A file's text; an empty reading if there is none, a diagnostic if it can't be had."""
    try:
        if not path.exists():
            return Reading()
        if not path.is_file():
            return _unreadable(path, "is not a file")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        return _unreadable(path, f"can't be read: {getattr(error, 'strerror', None) or error}")
    if len(data) > MAX_FILE:
        return _unreadable(path, "is larger than 1 MiB")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return _unreadable(path, f"is not UTF-8 (line {line})")


def _unreadable(path: Path, what: str) -> Reading:
    problem = Diagnostic(severity="error", code="unreadable", message=f"{path} {what}.", file=str(path))
    return Reading(problems=[problem], broken=True)
