"""From layers to the settings in force, with the origin of each and what was withheld.

Nothing here raises for what a file or variable contains: a bad value is reported and the next layer counts,
so that a front end always starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pygent.config import sources
from pygent.config.guard import Guard, Value, settings_of, shown, stack, wire
from pygent.config.look import Look
from pygent.config.settings import PERSONAS_JSON, TABLE, Settings
from pygent.config.sources import Diagnostic, Entry, Reading
from pygent.config.values import EXPECTED, parse, personas_json
from pygent.errors import ConfigInvalid

_KEYS = ("api_key", TABLE["api_key"].variable)
REMOVE = "Remove that character: a key is one line of plain ASCII letters, digits and signs."


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force and where they come from.

    `withheld` is what a folder that is not trusted wants and does not get; `kept` are the settings whose
    values stay as they were when it was trusted; `named` are the files of the folder that each setting
    names, which are trusted with it.
    """

    settings: Settings
    values: dict[str, Value]
    diagnostics: tuple[Diagnostic, ...]
    folder: Path | None
    trusted: bool
    withheld: tuple[Value, ...]
    readings: dict[Path, Reading] = field(default_factory=dict)
    """The last good reading of each file."""
    named: Mapping[str, set[str]] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
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
            "values": {key: shown(value) for key, value in self.values.items()},
            "diagnostics": msgspec.to_builtins(self.diagnostics),
            "wouldChange": self.would_change(),
        }

    def would_change(self) -> list[dict[str, Any]]:
        """What trusting the folder would change, in the wire form, and the files that are trusted with it."""
        listed = []
        for value in self.withheld:
            entry = {"key": value.key, "value": wire(value), "origin": value.origin.layer}
            names = sorted(self.named.get(value.key, ()))
            listed.append({**entry, **({"files": names} if names else {})})
        return listed


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
    look: Look | None = None,
    accepted: Look | None = None,
) -> Config:
    """Read every layer and put them together.

    `flags` and `editor` are by `pygent.toml` key; `config_file` takes the place of the folder's
    `pygent.toml` and is the person's own word, trusted always.  Of a file that can't be read now, what
    `previous` had from it stays.  `texts` are buffers that are read in place of their files.
    `saved` is what a snapshot that was loaded says, which is never trusted.

    `look` has the folder's files, by default as they are now; `accepted` is the look that the person
    trusted: what it says stays in force where the new contents may not change it.
    Raises ConfigInvalid only for a `config_file` that does not exist.
    """
    look = Look(folder) if look is None and folder is not None else look
    paths = config_files(folder, home, config_file)
    readings = _of_files(paths, home, look, config_file=config_file, texts=texts or {}, previous=previous)
    layers = [
        sources.mapping("flag", flags or {}),
        sources.environment(environ),
        sources.mapping("editor", editor or {}),
        sources.mapping("snapshot", saved or {}),
        *readings.values(),
    ]
    found, problems = _understood(layers, folder or Path.cwd(), home)
    trusted = trusted or folder is None
    before = [] if accepted is None or trusted else _before(accepted, config_file, home)
    guard = Guard(trusted, config_file, look, {} if accepted is None else accepted.marks)
    parted = guard.part(found, before)
    values = stack(parted.taken)
    return Config(
        settings=settings_of(values),
        values=values,
        diagnostics=(*problems, *parted.problems),
        folder=folder,
        trusted=trusted,
        withheld=tuple(parted.withheld),
        readings={path: reading for path, reading in readings.items() if not reading.broken},
        named={} if look is None else look.named,
        kept=tuple(key for key, value in values.items() if any(value.origin is one.origin for one in before)),
        secrets=tuple(_secrets(layers)),
    )


def _secrets(said: Sequence[Reading]) -> Iterator[str]:
    entries = (entry for reading in said for entry in reading.entries)
    return (entry.raw for entry in entries if entry.setting.secret and isinstance(entry.raw, str))


def _of_files(
    paths: Sequence[Path],
    home: Path,
    look: Look | None,
    *,
    config_file: Path | None,
    texts: Mapping[Path, str],
    previous: Config | None,
) -> dict[Path, Reading]:
    """What each file says.  Raises ConfigInvalid as `load`."""
    if config_file is not None and config_file not in texts and not config_file.is_file():
        raise ConfigInvalid(f"There is no settings file {config_file}.", "Check the path after --config.")
    looks = {path: None if path == config_file else look for path in paths}
    return {path: _with_last_good(path, _read(path, home, looks[path], texts), previous) for path in paths}


def _understood(
    readings: Sequence[Reading], folder: Path, home: Path
) -> tuple[list[Value], list[Diagnostic]]:
    """The values of every layer, the strongest first, and what is wrong."""
    problems = [problem for reading in readings for problem in reading.problems]
    found = _values((entry for reading in readings for entry in reading.entries), folder, home, problems)
    _values((entry for reading in readings for entry in reading.unused), folder, home, problems)
    return found, problems


def _before(look: Look, config_file: Path | None, home: Path) -> list[Value]:
    """What the folder's own files said when they were trusted; what was wrong with them was told then."""
    paths = [path for path in config_files(look.root, home, config_file) if path.parent == look.root]
    readings = [_read(path, home, look, {}) for path in paths if path != config_file]
    return _values((entry for reading in readings for entry in reading.entries), look.root, home, [])


def _read(path: Path, home: Path, look: Look | None, texts: Mapping[Path, str]) -> Reading:
    of_folder = look is not None and path.parent == look.root
    content = texts[path] if path in texts else sources.read(path, look if of_folder else None)
    if of_folder and path.name == ".env":
        return sources.dotenv(path, content)
    return sources.toml(path, "home" if path.parent == home else "workspace", content)


def _with_last_good(path: Path, reading: Reading, previous: Config | None) -> Reading:
    good = None if previous is None else previous.readings.get(path)
    if not reading.broken or good is None or not good.entries:
        return reading
    first, *rest = reading.problems
    kept = msgspec.structs.replace(first, message=f"{first.message} The last good settings are kept.")
    return Reading(good.entries, [kept, *rest], unused=reading.unused)


def _values(entries: Iterable[Entry], folder: Path, home: Path, problems: list[Diagnostic]) -> list[Value]:
    return [value for entry in entries if (value := _parsed(entry, folder, home, problems)) is not None]


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
