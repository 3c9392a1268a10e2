"""`pygent config`: show, check, begin and describe the settings."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pygent import files
from pygent.cli.console import Console, brief
from pygent.cli.place import opened
from pygent.config import Diagnostic, check, wire
from pygent.config.check import shown
from pygent.config.diagnostic import Severity
from pygent.config.sources import read, toml
from pygent.errors import PygentError

INVALID = 4
"""The exit code where a setting is wrong."""
COLOURS: dict[Severity, str] = {"error": "red", "warning": "yellow", "hint": "dim"}


async def config(given: argparse.Namespace, environ: Mapping[str, str], console: Console) -> int:
    """`pygent config show|check|init|schema`: 4 if anything is wrong."""
    if given.action == "schema":
        from pygent.config.json_schema import json_schema  # noqa: PLC0415 - only here

        console.answer(msgspec.json.format(msgspec.json.encode(json_schema())).decode() + "\n")
        return 0
    if given.action == "init":
        return _init(given, console)
    async with opened(given, environ) as where:
        found = where.folder.config
        problems = check(found)
        if given.json:
            console.json(shown(found))
        elif given.action == "show":
            rows = [
                [key, brief(wire(value)), value.origin.layer, location(value.origin)]
                for key, value in found.values.items()
            ]
            console.table(rows, ["setting", "value", "origin", "where"])
        _say(console, problems)
        if given.action == "check" and not given.json:
            console.answer(_verdict(problems))
        return INVALID if any(problem.severity == "error" for problem in problems) else 0


def _init(given: argparse.Namespace, console: Console) -> int:
    """Write a new settings file; one that is there stays, unless `--force` is given.  Raises PygentError."""
    from pygent.config.sample import sample  # noqa: PLC0415 - only here

    path = given.config or Path(given.workspace or ".") / "pygent.toml"
    try:
        if given.force and path.exists():
            if path.is_file():
                console.say(_overwriting(path))
            files.write_chosen(path.absolute(), sample().encode())
        else:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(sample())
    except FileExistsError as error:
        fix = (
            "Look at it with `pygent config`, name another file with --config, or overwrite it with --force."
        )
        raise PygentError("conflict", f"There is a {path} already.", fix) from error
    except OSError as error:
        raise PygentError("configInvalid", f"{path} can't be written: {error.strerror}.", None) from error
    console.say(f"Wrote {path}, with every setting and its default behind comment marks.")
    return 0


def _overwriting(path: Path) -> str:
    """What is about to go: the settings by name, as a value may be a secret."""
    keys = dict.fromkeys(entry.setting.key for entry in toml(path, "workspace", read(path)).entries)
    said = f"set {', '.join(keys)}" if keys else "set nothing that can be read"
    return f"Overwriting {path}, {path.stat().st_size} bytes that {said}."


def _say(console: Console, problems: Sequence[Diagnostic]) -> None:
    for problem in problems:
        at = problem.message.removesuffix(problem.text)
        console.say(f"{at}{problem.severity}: {problem.text}", COLOURS[problem.severity])
        if problem.fix:
            console.say(f"  {problem.fix}")


def _verdict(problems: Sequence[Diagnostic]) -> str:
    if not problems:
        return "The settings are in order.\n"
    counts = Counter(problem.severity for problem in problems)
    said = [f"{count} {kind}{'s' if count > 1 else ''}" for kind in COLOURS if (count := counts[kind])]
    return f"Found {', '.join(said)}.\n"


def location(origin: Any) -> str:
    """Where a value is set: file and line, or the variable or flag."""
    if origin.file is not None:
        span = origin.span
        return f"{origin.file.path}:{span.line}" if span is not None else str(origin.file.path)
    return str(origin.name) if origin.layer in ("environment", "flag") else ""
