"""Whether a request is what a scripted server refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pygent.replay.script import Demand

_ABSENT = object()


def broken(demand: Demand, request: dict[str, Any]) -> bool:
    """Whether the request has what the demand refuses."""
    values = _values(request, demand.path.split("."))
    match demand.test:
        case "present":
            return any(value is not _ABSENT for value in values)
        case "absent":
            return any(value is _ABSENT for value in values)
        case "null":
            return any(value is None for value in values)
        case "empty":
            return any(value == "" for value in values)
        case _:
            return any(not re.fullmatch(demand.like, str(value)) for value in values if value is not _ABSENT)


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    """The values that a path leads to; `_ABSENT` for a field that the last object does not have."""
    if not path:
        yield value
        return
    step, *rest = path
    name, filtered, wanted = step.partition("=")
    if step == "*" or filtered:
        for item in value if isinstance(value, list) else ():
            if not filtered or (isinstance(item, dict) and item.get(name) == wanted):
                yield from _values(item, rest)
    elif isinstance(value, dict) and step in value:
        yield from _values(value[step], rest)
    elif isinstance(value, dict) and not rest:
        yield _ABSENT
