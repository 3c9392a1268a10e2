"""Everything that is worth saying about the settings, for who looks at them: `config check` and editors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pygent.config.diagnostic import Diagnostic, Origin, describe
from pygent.config.guard import Value
from pygent.config.load import Config
from pygent.config.mend import native
from pygent.config.places import Span
from pygent.config.write import literal

LAYERS = {
    "flag": "a flag",
    "environment": "the environment",
    "editor": "the editor's settings",
    "snapshot": "the snapshot",
    "dotenv": ".env",
    "workspace": "the workspace's pygent.toml",
    "home": "the home folder's settings",
}


def check(config: Config) -> tuple[Diagnostic, ...]:
    """The problems that `load` found, and what is no problem for loading: hints, files that are missing."""
    more = (*_missing(config), *_personas(config), *_shadowed(config), *_as_text(config))
    found = [*config.diagnostics, *more]
    return tuple(sorted(found, key=lambda one: (one.file or "", one.line or 0, one.column or 0)))


def shown(config: Config) -> dict[str, Any]:
    """The wire form of the settings (`Config.show`), with everything that `check` finds."""
    return {**config.show(), "diagnostics": msgspec.to_builtins(check(config))}


def _missing(config: Config) -> Iterator[Diagnostic]:
    """Initial files and snapshots that are not there; they would be left out with a notice."""
    for key in ("initial_files", "snapshot"):
        value = config.values[key]
        paths = value.value if isinstance(value.value, tuple) else (value.value,)
        for index, path in enumerate(paths):
            if path is None or (path.is_dir() if key == "snapshot" else path.exists()):
                continue
            what = "The snapshot folder" if key == "snapshot" else "The initial file"
            span = value.origin.value_span(index if isinstance(value.value, tuple) else None)
            text = f"{what} {_short(path, config)} does not exist."
            yield value.origin.problem("warning", "missingFile", text, "Make it, or take it out.", span=span)


def _short(path: Path, config: Config) -> str:
    inside = config.folder is not None and config.folder in path.parents
    return str(path.relative_to(config.folder)) if inside and config.folder else str(path)


def _personas(config: Config) -> Iterator[Diagnostic]:
    """Personas that nobody can choose, because another one has their name."""
    value = config.values["task_personas"]
    main = config.settings.persona_name
    seen: dict[str, int] = {}
    for index, persona in enumerate(value.value):
        name = persona.name.lower()
        if name in seen or name == main.lower():
            owner = "the main persona" if name == main.lower() else "an earlier one"
            text = f"The persona {persona.name!r} has the name of {owner}; that one counts."
            span = _name_span(value.origin, index)
            yield value.origin.problem(
                "warning", "duplicatePersona", text, "Give it another name.", span=span
            )
        seen.setdefault(name, index)


def _name_span(origin: Origin, index: int) -> Span | None:
    inner = Origin(origin.layer, origin.name, origin.file, (*origin.at, index, "name"))
    return inner.value_span() if inner.place is not None else origin.value_span(index)


def _shadowed(config: Config) -> Iterator[Diagnostic]:
    """Values in files that a stronger layer sets as well."""
    for value in config.values.values():
        for weaker in value.shadowed:
            if weaker.origin.file is not None and not _is_older(weaker, value):
                yield _shadow(weaker, value)


def _is_older(weaker: Value, stronger: Value) -> bool:
    """Whether it stood in the same file when that was trusted."""
    return (
        stronger.origin.file is not None
        and weaker.origin.file is not None
        and (
            weaker.origin.file.path == stronger.origin.file.path
            and weaker.origin.file.text != stronger.origin.file.text
        )
    )


def _shadow(weaker: Value, stronger: Value) -> Diagnostic:
    origin, by = weaker.origin, stronger.origin
    where = LAYERS[by.layer]
    if by.file is not None and by.span is not None:
        where = f"{by.file.path.name}, line {by.span.line}"
    elif by.layer == "environment":
        where = f"{by.name} in the environment"
    place = by.place
    related = () if by.file is None or place is None else (by.file.related("what counts", place.key),)
    text = f"{describe(origin)} is set by {where} as well, which is stronger; this value is not used."
    return origin.problem("hint", "shadowed", text, related=related)


def _as_text(config: Config) -> Iterator[Diagnostic]:
    """Values of TOML files that are written as environment variables have to be; they are taken."""
    for reading in config.readings.values():
        for entry in reading.entries:
            if (
                entry.origin.layer == "dotenv"
                or (better := native(entry.setting.kind, entry.raw)) is entry.raw
            ):
                continue
            text = f"{describe(entry.origin)} is written as text, for which TOML has `{literal(better)}`."
            yield entry.origin.problem("hint", "asText", text, span=entry.origin.value_span())
