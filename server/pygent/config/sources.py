"""The layers of settings as they are written down: who says what, and where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pygent import files
from pygent.config.diagnostic import Diagnostic, File, Layer, Origin, describe
from pygent.config.look import MAX_FILE, Look
from pygent.config.settings import PERSONAS_JSON, TABLE, VARIABLES, Setting

__all__ = ["Diagnostic", "Entry", "File", "Layer", "Origin", "Reading", "describe"]

_SECRET_NAME = re.compile(r"(^|[_.-])(api[_-]?key|secret|token|password|passwd|credentials?)([_.-]|$)", re.I)
_SECRET_VALUE = re.compile(
    r"\bsk-[\w-]{12,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}|\bhf_[A-Za-z]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@]+:[^/\s@]+@"
)
_TABLES = {key.partition(".")[0] for key in TABLE if "." in key}
_OF_PERSONAS = ("name", "description")


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting as a layer has it, not yet understood."""

    setting: Setting
    raw: Any
    origin: Origin


@dataclass(slots=True)
class Reading:
    """What a layer says, and what is wrong with how it says it.

    `broken`: the file could not be read whole; `unused` is what it would say, which is only checked.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    broken: bool = False
    unused: list[Entry] = field(default_factory=list)


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


def dotenv(path: Path, content: str | Reading) -> Reading:
    """A `.env` file, parsed and never loaded: its values don't reach any other program."""
    if isinstance(content, Reading):
        return content
    file, found, problems = File(path, content, dotenv=True), [], []
    last: dict[str, Origin] = {}
    for number, binding in enumerate(file.bindings.bindings):
        origin = Origin("dotenv", binding.name, file, (binding.name, number))
        if binding.error:
            problems.append(origin.problem("error", "syntax", "This line is not NAME=VALUE."))
        elif binding.value:
            found.append((binding.name, binding.value, origin))
            if binding.name in VARIABLES and binding.name in last:
                problems.append(_overridden(last[binding.name], origin))
            last[binding.name] = origin
    reading = _variables(found)
    reading.problems += problems
    return reading


def toml(path: Path, layer: Layer, content: str | Reading) -> Reading:
    """A `pygent.toml`."""
    if isinstance(content, Reading):
        return content
    import tomli  # noqa: PLC0415 - only where there is a file

    file, problems = File(path, content), list[Diagnostic]()
    try:
        document = tomli.loads(content)
    except (tomli.TOMLDecodeError, RecursionError):
        from pygent.config.recovery import recover  # noqa: PLC0415 - only for broken files

        document, problems = recover(file)
    reading = Reading(problems=problems, broken=bool(problems))
    for name, raw in document.items():
        _take(reading, Origin(layer, name, file, (name,)), raw)
    if reading.broken:
        reading.unused, reading.entries = reading.entries, []
    return reading


def _take(reading: Reading, origin: Origin, raw: Any) -> None:
    """Sort one key of a TOML file, those of its tables included."""
    name = origin.name
    if name == "api_key" or (name not in TABLE and isinstance(raw, str) and _SECRET_NAME.search(name)):
        reading.problems.append(_secret(origin))
    elif (found := _secret_in(origin, raw)) is not None:
        reading.problems.append(_secret(found))
    elif name in _TABLES and isinstance(raw, dict):
        for key, value in raw.items():
            _take(reading, Origin(origin.layer, f"{name}.{key}", origin.file, (*origin.at, key)), value)
    elif name in TABLE:
        if name == "task_personas" and isinstance(raw, list):
            raw = [_persona(reading, origin, index, item) for index, item in enumerate(raw)]
        reading.entries.append(Entry(TABLE[name], raw, origin))
    else:
        reading.problems.append(_misplaced(origin) or _unknown(origin, TABLE))


def without_secrets(value: Any) -> Any:
    """A built-in value for people to read, with `…` where it looks like a key or holds a password."""
    if isinstance(value, str):
        return _SECRET_VALUE.sub("…", value)
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items()}
    return value


def _secret_in(origin: Origin, raw: Any) -> Origin | None:
    """The place of what looks like a key in a value; tables are looked at key by key instead."""
    if isinstance(raw, str) and _SECRET_VALUE.search(raw):
        return origin
    if isinstance(raw, list):
        for index, item in enumerate(raw):
            inner = Origin(origin.layer, origin.name, origin.file, (*origin.at, index))
            if isinstance(item, str) and _SECRET_VALUE.search(item):
                return inner
    return None


def _persona(reading: Reading, origin: Origin, index: int, item: Any) -> Any:
    """A persona's table without the keys that TOML put into it by accident; those are taken as top-level."""
    if not isinstance(item, dict):
        return item
    kept = {}
    for key, value in item.items():
        inner = Origin(origin.layer, key, origin.file, (*origin.at, index, key))
        if key in _OF_PERSONAS:
            if _secret_in(inner, value) is not None:
                reading.problems.append(_secret(inner))
            else:
                kept[key] = value
        elif key in TABLE or key in _TABLES:
            text = f"`{key}` stands inside a [[task_personas]] table; it is taken as top-level."
            fix = "Move the line above the first [[task_personas]]."
            reading.problems.append(inner.problem("warning", "wrongTable", text, fix))
            _take(reading, inner, value)
        elif _SECRET_NAME.search(key) or _secret_in(inner, value) is not None:
            reading.problems.append(_secret(inner))
        else:
            reading.problems.append(_unknown(inner, (*_OF_PERSONAS, *TABLE)))
    return kept


def _variables(found: Iterable[tuple[str, str, Origin]]) -> Reading:
    reading, by_name = Reading(), {}
    for name, value, origin in found:
        if not value.strip():
            continue
        if name in VARIABLES:
            by_name[name] = Entry(VARIABLES[name], value, origin)
        elif name.startswith("PYGENT_") and (origin.layer == "dotenv" or nearest(name, VARIABLES, 0.85)):
            reading.problems.append(_unknown(origin, VARIABLES))
    if PERSONAS_JSON in by_name:
        by_name.pop("PYGENT_TASK_PERSONAS", None)
    reading.entries = list(by_name.values())
    return reading


def _overridden(origin: Origin, later: Origin) -> Diagnostic:
    span, file = later.span, later.file
    line = "" if span is None else f" in line {span.line}"
    related = () if file is None or later.place is None else (file.related("what counts", later.place.key),)
    text = f"`{origin.name}` is set again{line}, and the last one counts."
    return origin.problem("warning", "duplicateKey", text, "Keep one of the two.", related=related)


def _secret(origin: Origin) -> Diagnostic:
    return origin.problem(
        "error",
        "secretInFile",
        f"`{origin.name}` holds a secret, which does not belong into pygent.toml and is not used.",
        "Move it to OPENAI_API_KEY in .env or the environment.",
        span=origin.value_span(),
    )


def _misplaced(origin: Origin) -> Diagnostic | None:
    """A key that is a setting, only not in the table in which it stands."""
    table, _, name = origin.name.rpartition(".")
    if table and name in TABLE:
        text = f"`{name}` is a top-level setting and means nothing inside [{table}]."
        return origin.problem(
            "warning", "wrongTable", text, "Move the line above the first table.", near=name
        )
    inner = [key for key in TABLE if key.endswith(f".{name}")]
    if not table and len(inner) == 1:
        text = f"`{name}` means nothing at the top level."
        return origin.problem("warning", "unknownKey", text, f"Did you mean `{inner[0]}`?", near=inner[0])
    return None


def _unknown(origin: Origin, known: Iterable[str]) -> Diagnostic:
    near = nearest(origin.name, known)
    fix = f"Did you mean `{near}`?" if near else "See docs/configuration.md for the settings."
    text = f"`{origin.name}` is no setting of Pygent."
    return origin.problem("warning", "unknownKey", text, fix, near=near)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that was probably meant."""
    if len(name) > 100:
        return None
    near = difflib.get_close_matches(name, known, 1, cutoff)
    return near[0] if near else None


def read(path: Path, look: Look | None = None) -> str | Reading:
    """A file's text; an empty reading if there is none, a diagnostic if it can't be had.

    A file of a folder comes from the look at it; others are the person's own, and may be links.
    """
    try:
        data = files.read_chosen(path, MAX_FILE) if look is None else look.data(path)
    except FileNotFoundError:
        return Reading()
    except (OSError, ValueError) as error:
        return _unreadable(path, f"can't be read: {getattr(error, 'strerror', None) or error}")
    if data is None:
        return Reading()
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
