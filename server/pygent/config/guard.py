"""Whose word counts: a folder or snapshot that nobody trusted loosens and redirects nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from pygent.config import sources
from pygent.config.look import Look
from pygent.config.settings import TABLE, Setting, Settings, Taken
from pygent.config.sources import Diagnostic, Origin

NEEDED: dict[Taken, str] = {
    "lower": ": it may only lower it",
    "on": ": it may only switch it on",
    "alone": ": its key may only go to the default address, where you have set no other address and no key",
}
"""What a folder that is not trusted may do with a setting instead."""
ACTING = ("tools", "mcp_servers", "ca_bundle")
"""Settings whose files act on the host, so that these are looked at whoever names them."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value with its origin; `shadowed` are the weaker layers' values, the strongest first.

    `unconfirmed` are words of a folder or snapshot that the person has not trusted.
    """

    key: str
    value: Any
    origin: Origin
    shadowed: tuple[Value, ...] = ()
    unconfirmed: bool = False

    @property
    def of_folder(self) -> bool:
        """Whether a file of the folder says it, or the one of `--config`."""
        return self.origin.layer in ("dotenv", "workspace")


@dataclass(slots=True)
class Parted:
    """The values that count, those that don't, and why."""

    taken: list[Value] = field(default_factory=list)
    withheld: list[Value] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Guard:
    """Whose word counts.

    `config_file` is the person's own; `look` has the files that settings name, and `proven` are the marks of
    those that the person trusted.
    """

    trusted: bool
    config_file: Path | None
    look: Look | None
    proven: Mapping[str, str]

    def part(self, found: Sequence[Value], accepted: Sequence[Value]) -> Parted:
        """Part the values, the strongest first; `accepted` are the folder's as they were when trusted."""
        own = stack(
            [one for one in found if not self._is_foreign(one) and one.origin.layer != "home"]
            + [*accepted, *(one for one in found if not self._is_foreign(one) and one.origin.layer == "home")]
        )
        parted, rest = Parted(), list(accepted)
        for value in found:
            if value.origin.layer == "home" and rest:
                parted.taken += rest
                rest = []
            if not self._is_foreign(value):
                parted.taken.append(value)
            elif not self._is_unproven(value) and (allowed := _allowed(value, own, found)) is not None:
                parted.taken.append(allowed)
            else:
                parted.withheld.append(value)
                parted.problems.append(self._problem(value))
        parted.taken += rest
        return parted

    def _is_foreign(self, value: Value) -> bool:
        if value.origin.layer == "snapshot" or self._is_unproven(value):
            return True
        file = value.origin.file
        return value.of_folder and not self.trusted and file is not None and file.path != self.config_file

    def _is_unproven(self, value: Value) -> bool:
        """Whether it names files of the folder that are not those which the person trusted."""
        if self.look is None or value.origin.layer in ("flag", "snapshot", "default"):
            return False
        if not value.of_folder and value.key not in ACTING:
            return False
        return value.key in self.look.refused or bool(self.look.differs(value.key, self.proven))

    def _problem(self, value: Value) -> Diagnostic:
        said, key = sources.describe(value.origin), value.key
        if value.origin.layer == "snapshot":
            text = f"{said} is not taken: a snapshot may not loosen or redirect anything."
            return value.origin.problem("warning", "notTrusted", text, "Set it yourself.")
        if self.look is not None and (reason := self.look.refused.get(key)) is not None:
            return value.origin.problem("warning", "notTrusted", f"{said} is not taken: {reason}.")
        needed = NEEDED.get(TABLE[key].untrusted, "")
        text = f"{said} is not taken from a folder that is not trusted{needed}."
        if self.look is not None and self._is_unproven(value):
            names = self.look.differs(key, self.proven)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            text = f"{said} is not taken: you have not trusted {', '.join(names[:3])}{more} as it is now."
        elif self.proven:
            text = f"{said} has changed since you trusted the folder; what it says now is not used{needed}."
        fix = "Look at the folder's settings, then trust it: `pygent trust`."
        return value.origin.problem("warning", "notTrusted", text, fix)


def _allowed(value: Value, own: Mapping[str, Value], found: Sequence[Value]) -> Value | None:
    """What a folder that is not trusted may make of a setting; `own` is what the person has."""
    said, mine = value.value, own[value.key].value
    match TABLE[value.key].untrusted:
        case "yes":
            return value
        case "words":
            return _marked(value)
        case "lower":
            return value if mine is None or said <= mine else None
        case "on":
            return value if said or not mine else None
        case "more":
            return replace(value, value=(*mine, *(item for item in said if item not in mine)))
        case "alone":
            return value if _goes_to_default(own, found) or said == mine else None
        case _:
            return value if said == mine else None


def _goes_to_default(own: Mapping[str, Value], found: Sequence[Value]) -> bool:
    """Whether a folder's key can only go to the default address, and takes no place of the person's."""
    if own["api_key"].value is not None:
        return own["api_key"].origin.layer in ("flag", "environment", "editor")  # those are stronger
    default = TABLE["base_url"].default
    elsewhere = any(one.key == "base_url" and one.of_folder and one.value != default for one in found)
    return not elsewhere and own["base_url"].value == default


def _marked(value: Value) -> Value:
    said = value.value
    if value.key == "task_personas":
        said = tuple(msgspec.structs.replace(persona, unconfirmed=True) for persona in said)
    return replace(value, value=said, unconfirmed=True)


def stack(found: Sequence[Value]) -> dict[str, Value]:
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


def settings_of(values: Mapping[str, Value]) -> Settings:
    """The settings with these values."""
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


def wire(value: Value) -> Any:
    """A value for people and JSON; a secret's is `set` or `unset`, and one in another value is left out."""
    if TABLE[value.key].secret:
        return "set" if value.value else "unset"
    return sources.without_secrets(msgspec.to_builtins(value.value, enc_hook=str))


def shown(value: Value) -> dict[str, Any]:
    """A value with its origin in the wire form."""
    entry: dict[str, Any] = {"value": wire(value), "origin": value.origin.layer}
    file, span = value.origin.file, value.origin.span
    if file is not None:
        entry["location"] = {"uri": file.path.as_uri(), "path": str(file.path)}
        if span is not None:
            entry["location"] |= {"line": span.line, "column": span.column}
    elif value.origin.name and value.origin.layer == "environment":
        entry["location"] = {"variable": value.origin.name}
    if value.shadowed:
        entry["shadowed"] = [shown(weaker) for weaker in value.shadowed]
    return entry
