"""Names of a module that are loaded when they are first used."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def lazily(module: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module; `places` has the module of each name, as `package.module:name`.

    Scripts of Pygent 1.0 import names from modules that are layers of the core now; such a module forwards
    them, and does not depend on where they live.
    """

    def get(name: str) -> Any:
        place = places.get(name)
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, attribute = place.partition(":")
        return getattr(importlib.import_module(home), attribute or name)

    return get
