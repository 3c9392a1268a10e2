"""From layers to the settings in force, with the origin of each and what was withheld.

Nothing here raises for what a file or variable contains: a bad value is reported and the next layer counts,
so that a front end always starts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from pygent.config import sources
from pygent.config.settings import PERSONAS_JSON, TABLE, Setting, Settings, Taken
from pygent.config.sources import Diagnostic, Entry, Origin, Reading
from pygent.config.values import EXPECTED, parse, personas_json
from pygent.errors import ConfigInvalid

NEEDED: dict[Taken, str] = {
    "lower": ": it may only lower it",
    "on": ": it may only switch it on",
    "more": ": it may only name paths inside itself",
    "inside": ": it may only name paths inside itself",
    "withKey": ": it needs a key in the same file",
}
"""What a folder that is not trusted may do with a setting instead."""

_KEYS = ("api_key", TABLE["api_key"].variable)
REMOVE = "Remove that character: a key is one line of plain ASCII letters, digits and signs."


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value with its origin; `shadowed` are the weaker layers' values, the strongest first."""

    key: str
    value: Any
    origin: Origin
    shadowed: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force and where they come from.

    `withheld` is what a folder that is not trusted wants and does not get.
    """

    settings: Settings
    values: dict[str, Value]
    diagnostics: tuple[Diagnostic, ...]
    folder: Path | None
    trusted: bool
    withheld: tuple[Value, ...]
    readings: dict[Path, Reading] = field(default_factory=dict)
    """The last good reading of each file."""
    secrets: tuple[str, ...] = ()
    """Every secret value as it was written, those that are not in force or no good included."""

    @property
    def bad_key(self) -> Diagnostic | None:
        """What is wrong with the key, where there is none in force but one that can't be used."""
        wrong = (one for one in self.diagnostics if one.code == "badValue" and one.key in _KEYS)
        return None if self.settings.api_key is not None else next(wrong, None)

    def show(self) -> dict[str, Any]:
        """The wire form of `pygent.config.show`; a secret is only `set` or `unset`."""
        return {
            "values": {key: _shown(value) for key, value in self.values.items()},
            "diagnostics": msgspec.to_builtins(self.diagnostics),
        }


def config_files(folder: Path | None, home: Path, config_file: Path | None) -> list[Path]:
    """The files that may hold settings, the strongest first; what a watcher has to watch."""
    files = [] if folder is None else [folder / ".env"]
    if config_file is not None:
        files.append(config_file)
    elif folder is not None:
        files.append(folder / "pygent.toml")
    home_files = [home / ".pygent.toml", home / "pygent.toml"]
    return [path for path in files if path not in home_files] + home_files


def load(
    folder: Path | None,
    *,
    environ: Mapping[str, str],
    home: Path,
    flags: Mapping[str, object] | None = None,
    editor: Mapping[str, object] | None = None,
    config_file: Path | None = None,
    trusted: bool = False,
    previous: Config | None = None,
    texts: Mapping[Path, str] | None = None,
    saved: Mapping[str, object] | None = None,
) -> Config:
    """Read every layer and put them together.

    `flags` and `editor` are by `pygent.toml` key; `config_file` takes the place of the folder's
    `pygent.toml` and is the person's own word, trusted always.  Of a file that can't be read now, what
    `previous` had from it stays.  `texts` are buffers that are read in place of their files.
    `saved` is what a snapshot that was loaded says, which is never trusted.
    Raises ConfigInvalid only for a `config_file` that does not exist.
    """
    if config_file is not None and config_file not in (texts or {}) and not config_file.is_file():
        raise ConfigInvalid(f"There is no settings file {config_file}.", "Check the path after --config.")
    readings = {
        path: _with_last_good(path, _read_file(path, home, folder, texts or {}), previous)
        for path in config_files(folder, home, config_file)
    }
    said = [
        sources.mapping("flag", flags or {}),
        sources.environment(environ),
        sources.mapping("editor", editor or {}),
        sources.mapping("snapshot", saved or {}),
        *readings.values(),
    ]
    problems = [problem for reading in said for problem in reading.problems]
    found = [
        value
        for reading in said
        for entry in reading.entries
        if (value := _parsed(entry, folder or Path.cwd(), home, problems)) is not None
    ]
    for entry in (entry for reading in said for entry in reading.unused):
        _parsed(entry, folder or Path.cwd(), home, problems)
    taken, withheld = _guard(found, folder or Path.cwd(), config_file, trusted=trusted or folder is None)
    problems += [_withheld(value) for value in withheld]
    values = _stack(taken)
    return Config(
        settings=_settings(values),
        values=values,
        diagnostics=tuple(problems),
        folder=folder,
        trusted=trusted,
        withheld=tuple(withheld),
        readings={path: reading for path, reading in readings.items() if not reading.broken},
        secrets=tuple(_secrets(said)),
    )


def _secrets(said: Sequence[Reading]) -> Iterator[str]:
    entries = (entry for reading in said for entry in reading.entries)
    return (entry.raw for entry in entries if entry.setting.secret and isinstance(entry.raw, str))


def _read_file(path: Path, home: Path, folder: Path | None, texts: Mapping[Path, str]) -> Reading:
    if folder is not None and path == folder / ".env":
        return sources.dotenv(path, texts.get(path))
    return sources.toml(path, "home" if path.parent == home else "workspace", texts.get(path))


def _with_last_good(path: Path, reading: Reading, previous: Config | None) -> Reading:
    good = None if previous is None else previous.readings.get(path)
    if not reading.broken or good is None or not good.entries:
        return reading
    first, *rest = reading.problems
    kept = msgspec.structs.replace(first, message=f"{first.message} The last good settings are kept.")
    return Reading(good.entries, [kept, *rest], unused=reading.unused)


def _parsed(entry: Entry, folder: Path, home: Path, problems: list[Diagnostic]) -> Value | None:
    """An entry's value; None, and a problem, if it can't be understood."""
    origin, setting = entry.origin, entry.setting
    base = origin.file.path.parent if origin.file is not None else folder
    own = None if origin.layer in ("dotenv", "workspace") else home
    try:
        if origin.name == PERSONAS_JSON:
            return Value(setting.key, personas_json(entry.raw), origin)
        return Value(setting.key, parse(setting.kind, entry.raw, base, own), origin)
    except (ValueError, OverflowError) as error:
        precise = origin.name == PERSONAS_JSON or setting.kind in ("prices", "servers", "key")
        expected = (str(error) if precise else "") or EXPECTED[setting.kind]
        text = f"{sources.describe(origin)} must be {expected}; it is ignored."
        span = origin.value_span(_wrong_item(entry, base, own))
        fix = REMOVE if setting.secret else None
        problems.append(origin.problem("error", "badValue", text, fix, span=span))
        return None


def _wrong_item(entry: Entry, base: Path, home: Path | None) -> int | None:
    """The first item of a list that can't be understood."""
    for index, item in enumerate(entry.raw if isinstance(entry.raw, list) else ()):
        try:
            parse(entry.setting.kind, [item], base, home)
        except (ValueError, OverflowError):
            return index
    return None


def _guard(
    found: Sequence[Value], folder: Path, config_file: Path | None, *, trusted: bool
) -> tuple[list[Value], list[Value]]:
    """Part the values into those taken and those withheld: of a snapshot, and of a folder not trusted."""

    def hostile(value: Value) -> bool:
        file = value.origin.file
        own = trusted or file is None or file.path == config_file
        return value.origin.layer == "snapshot" or (value.origin.layer in ("dotenv", "workspace") and not own)

    own = _stack([value for value in found if not hostile(value)])
    key = next((value for value in found if value.key == "api_key"), None)
    taken, withheld = [], []
    for value in found:
        if not hostile(value):
            taken.append(value)
        elif (allowed := _allowed(value, own[value.key].value, folder, key)) is not None:
            taken.append(allowed)
        else:
            withheld.append(value)
    return taken, withheld


def _allowed(value: Value, own: Any, folder: Path, key: Value | None) -> Value | None:
    """What a folder that is not trusted may make of a setting; `own` is what the person has."""
    said = value.value
    match TABLE[value.key].untrusted:
        case "yes":
            return value
        case "lower":
            return value if own is None or said <= own else None
        case "on":
            return value if said or not own else None
        case "more" if TABLE[value.key].kind != "paths" or _inside(said, folder):
            return replace(value, value=(*own, *(item for item in said if item not in own)))
        case "inside":
            return value if _inside(said if isinstance(said, tuple) else (said,), folder) else None
        case "withKey":
            same = key is not None and key.origin.file is value.origin.file and key.origin.file is not None
            return value if same or said == own else None
        case _:
            return value if said == own else None


def _inside(paths: Sequence[Path], folder: Path) -> bool:
    real = folder.resolve()
    return all(real == path.resolve() or real in path.resolve().parents for path in paths)


def _withheld(value: Value) -> Diagnostic:
    if value.origin.layer == "snapshot":
        text = (
            f"{sources.describe(value.origin)} is not taken: a snapshot may not loosen or redirect anything."
        )
        return value.origin.problem("warning", "notTrusted", text, "Set it yourself.")
    return value.origin.problem(
        "warning",
        "notTrusted",
        f"{sources.describe(value.origin)} is not taken from a folder that is not trusted"
        f"{NEEDED.get(TABLE[value.key].untrusted, '')}.",
        "Look at the folder's settings, then trust it: `pygent trust`.",
    )


def _stack(found: Sequence[Value]) -> dict[str, Value]:
    """Every setting's strongest value over its weaker ones; `found` is the strongest first."""
    by_key: dict[str, list[Value]] = {key: [] for key in TABLE}
    for value in found:
        by_key[value.key].append(value)
    return {key: _over(said) if said else _default(TABLE[key]) for key, said in by_key.items()}


def _over(said: list[Value]) -> Value:
    strongest, *weaker = said
    return replace(strongest, shadowed=tuple(weaker)) if weaker else strongest


@functools.cache
def _default(setting: Setting) -> Value:
    return Value(setting.key, setting.default, Origin("default"))


def _settings(values: Mapping[str, Value]) -> Settings:
    flat: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        table, dot, name = key.partition(".")
        if dot:
            tables.setdefault(table, {})[name] = value.value
        else:
            flat[key] = value.value
    settings = Settings(**flat)
    changed = {
        table: msgspec.structs.replace(getattr(settings, table), **inner) for table, inner in tables.items()
    }
    return msgspec.structs.replace(settings, **changed)


def _shown(value: Value) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": wire(value), "origin": value.origin.layer}
    file, span = value.origin.file, value.origin.span
    if file is not None:
        shown["location"] = {"uri": file.path.as_uri(), "path": str(file.path)}
        if span is not None:
            shown["location"] |= {"line": span.line, "column": span.column}
    elif value.origin.name and value.origin.layer == "environment":
        shown["location"] = {"variable": value.origin.name}
    if value.shadowed:
        shown["shadowed"] = [_shown(weaker) for weaker in value.shadowed]
    return shown


def wire(value: Value) -> Any:
    """A value for people and JSON; a secret's is `set` or `unset`, and one in another value is left out."""
    if TABLE[value.key].secret:
        return "set" if value.value else "unset"
    return sources.without_secrets(msgspec.to_builtins(value.value, enc_hook=str))
