"""From what a person wrote to a value of a setting's kind."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pygent.config.settings import Kind, McpServer, Price, ToolModule
from pygent.records import Persona
from pygent.redaction import stripped

EXPECTED: dict[Kind, str] = {
    "text": "a text",
    "key": "a key",
    "url": "an address that begins with http:// or https://",
    "whole": "a whole number of at least 1",
    "number": "a number above 0",
    "seconds": "a number of seconds above 0",
    "size": 'a size of at least 1 MiB, such as "512m" or "2g"',
    "switch": "true or false (or 1 or 0)",
    "docker": '"0", "1" or "auto"',
    "api": '"auto", "chat" or "responses"',
    "path": "a path",
    "paths": "a list of paths",
    "texts": "a list of texts",
    "commands": "a list of shell commands",
    "personas": "a list of names, or of tables with name and description",
    "prices": "a table for each model, with input and output",
    "servers": "a table for each server, with command or url",
    "tools": "an array of tables with module (a text) and confirm (true or false)",
}
"""What each kind takes, in words for an error."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgt]?)(?:i?b)?")
_SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
_SWITCHES["off"] = False


def parse(kind: Kind, raw: object, base: Path, home: Path | None) -> Any:
    """The value of a setting.

    `raw` is a string from an environment or any value from TOML or an editor; relative paths are taken
    from `base`; `~` is the `home` folder, or plain text where that is None.
    Raises ValueError; its message, if any, is more precise than `EXPECTED`.
    """
    if kind == "path":
        return _path(_text(raw), base, home)
    if kind == "paths":
        return tuple(_path(_text(item), base, home) for item in _items(raw))
    if kind == "tools":
        return tuple(_tool_module(item, base) for item in _items(raw))
    readers: dict[Kind, Callable[[object], Any]] = {
        "text": _text,
        "key": _key,
        "url": _url,
        "whole": _whole,
        "number": _positive,
        "seconds": _positive,
        "size": _size,
        "switch": _switch,
        "docker": _docker,
        "api": _api,
        "texts": _texts,
        "commands": lambda given: _texts([given] if isinstance(given, str) else given),
        "personas": _personas,
        "prices": _prices,
        "servers": _servers,
    }
    return readers[kind](raw)


def personas_json(raw: str) -> tuple[Persona, ...]:
    """The value of `PYGENT_TASK_PERSONAS_JSON`.  Raises ValueError that says where it is wrong."""
    try:
        return _personas(msgspec.json.decode(raw))
    except msgspec.DecodeError as error:
        raise ValueError(f"a JSON array of objects with name and description ({error})") from error


def _prices(raw: object) -> dict[str, Price]:
    """Prices by model.  Raises ValueError that says what is wrong with which model's."""
    if not isinstance(raw, Mapping):
        raise ValueError
    return {str(model): _price(str(model), said) for model, said in raw.items()}


def _price(model: str, said: object) -> Price:
    if not isinstance(said, Mapping):
        raise ValueError(f"a table for each model, with input and output ({model} is none)")
    if odd := [name for name in said if name not in ("input", "output", "cached")]:
        raise ValueError(f"a table for each model, with input, output and cached ({model} has {odd[0]!r})")
    given = {"cached": said.get("input"), **said}
    for name in ("input", "output", "cached"):
        number = given.get(name)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e9:
            raise ValueError(f"prices of a million tokens, 0 or more ({model} needs {name})")
    return Price(**{name: float(number) for name, number in given.items()})


def _servers(raw: object) -> dict[str, McpServer]:
    """Servers by name.  Raises ValueError that says what is wrong with which."""
    if not isinstance(raw, Mapping):
        raise ValueError
    return {str(name): _server(str(name), said) for name, said in raw.items()}


def _server(name: str, said: object) -> McpServer:
    try:
        server = msgspec.convert(said, McpServer)
    except msgspec.ValidationError as error:
        raise ValueError(f"a table for each server, with command or url ({name}: {error})") from error
    if (server.command is None) == (server.url is None):
        raise ValueError(f"a table for each server, with command or url ({name} has both or neither)")
    if not 0 < server.timeout < float("inf"):
        raise ValueError(f"a table for each server ({name}: timeout is a number of seconds above 0)")
    if server.url is None:
        return msgspec.structs.replace(server, command=_text(server.command))
    try:
        return msgspec.structs.replace(server, url=_url(server.url))
    except ValueError:
        raise ValueError(f"a table for each server ({name}: url is {EXPECTED['url']})") from None


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
        raise ValueError
    return raw


def _key(raw: object) -> str:
    """A key as a header can carry it (RFC 9110, section 5.5; RFC 6750, section 2.1): visible ASCII.

    Blanks and line ends around it go, which files and shells leave there.  Raises ValueError that names the
    first character that no key has, and never the key.
    """
    key = stripped(_text(raw))
    for index, char in enumerate(key):
        if not "!" <= char <= "~":
            place = {0: "at its beginning", len(key) - 1: "at its end"}
            where = place.get(index, f"as character {index + 1} of {len(key)}")
            raise ValueError(f"a key without {_name_of(char)}, which it has {where}")
    if not key:
        raise ValueError
    return key


def _name_of(char: str) -> str:
    names = {"\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\t": "TAB"}
    return f"{unicodedata.name(char, names.get(char, 'control character'))} (U+{ord(char):04X})"


def _url(raw: object) -> str:
    address = _text(raw).strip()
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise ValueError
    return address.rstrip("/")


def _texts(raw: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in _items(raw))


def _whole(raw: object) -> int:
    number = int(raw) if isinstance(raw, str) and raw.strip().isdecimal() else raw
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError
    return number


def _positive(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError
    number = float(raw)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _size(raw: object) -> int:
    found = _SIZE.fullmatch(str(raw).strip().lower())
    if isinstance(raw, bool) or found is None:
        raise ValueError
    size = int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " "))
    if size < 1 << 20:
        raise ValueError
    return size


def size_text(size: int) -> str:
    """A size in words that can be written as a setting, too."""
    number, unit = float(size), 0
    while number >= 1024 and unit < 4:
        number, unit = number / 1024, unit + 1
    return f"{number:.4g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def _switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower() if isinstance(raw, str | int) else ""
    if word not in _SWITCHES:
        raise ValueError
    return _SWITCHES[word]


def _docker(raw: object) -> str:
    if isinstance(raw, str) and raw.strip().lower() == "auto":
        return "auto"
    return "1" if _switch(raw) else "0"


def _api(raw: object) -> str:
    name = _text(raw).strip().lower()
    if name not in ("auto", "chat", "responses"):
        raise ValueError
    return name


def _path(raw: str, base: Path, home: Path | None) -> Path:
    if home is not None and (raw == "~" or raw.startswith("~/")):
        return home / raw[2:]
    return Path(os.path.normpath(base / raw))


def _items(raw: object) -> list[object]:
    if isinstance(raw, str):
        return [item for item in raw.split(os.pathsep) if item.strip()]
    if not isinstance(raw, list | tuple):
        raise ValueError
    return list(raw)


def _personas(raw: object) -> tuple[Persona, ...]:
    return tuple(_persona(item) for item in _items(raw))


def _tool_module(item: object, base: Path) -> ToolModule:
    if not isinstance(item, dict) or not item.keys() <= {"module", "confirm"}:
        raise ValueError
    return ToolModule(module=_text(item.get("module")), base=base, confirm=_switch(item.get("confirm", True)))


def _persona(item: object) -> Persona:
    if isinstance(item, str):
        name, _, description = item.partition(" - ")
        return Persona(name=_text(name).strip(), description=description.strip())
    if not isinstance(item, dict):
        raise ValueError
    description = item.get("description", "")
    if not isinstance(description, str):
        raise ValueError
    return Persona(name=_text(item.get("name")), description=description)
