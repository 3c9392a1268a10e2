"""What a setting's value may be: choices, models, images, paths."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pygent.config import Setting
from pygent.config.mend import CHOICES
from pygent.config.places import Range
from pygent.config.write import literal
from pygent.lsp.settings.documents import Document
from pygent.lsp.settings.known import Known

MOST_FILES = 500
SIZES = ("512m", "1g", "2g", "4g", "8g")


def choices(known: Known, document: Document, setting: Setting) -> tuple[list[Any], bool]:
    """Values to choose from, and whether there may be more in a moment."""
    fixed = list(SIZES if setting.kind == "size" else CHOICES.get(setting.kind, ()))
    fetched: list[str] | None = []
    if document.folder is not None and setting.key in ("model", "image"):
        fetch = known.models if setting.key == "model" else known.images
        fetched = fetch(document.folder)
    own = [] if setting.default in (None, (), {}) or fixed else [setting.default]
    return list(dict.fromkeys([*fixed, *own, *(fetched or ())])), fetched is None


async def paths(document: Document, word: Range, *, quoted: bool) -> list[tuple[str, bool, Range, str]]:
    """What goes on with a path: name, whether it is a folder, what to replace, and by what."""
    typed = document.file.text[word.start : word.end]
    head, slash, _ = typed.rpartition("/")
    start = word.start + len(head) + len(slash)
    base = document.path.parent / (head + slash)
    found = []
    for name, is_folder in await asyncio.to_thread(_entries, base):
        if quoted:
            found.append((name, is_folder, Range(start, word.end), literal(name)[1:-1]))
        else:
            found.append((name, is_folder, word, literal(head + slash + name)))
    return found


def dotted(path: Iterable[str | int]) -> str:
    """A path as a setting's key: the numbers of items left out."""
    return ".".join(part for part in path if isinstance(part, str))


def placeholder(setting: Setting) -> str:
    """A value to begin with, as TOML."""
    if setting.default not in (None, (), {}):
        return '"2g"' if setting.kind == "size" else literal(setting.default)
    plain = {
        "seconds": "600",
        "whole": "100000",
        "number": "1",
        "path": '""',
        "text": '""',
        "prices": "{}",
        "servers": "{}",
    }
    return plain.get(setting.kind, '[""]')


def _entries(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as found:
            entries = [(one.name, one.is_dir()) for one, _ in zip(found, range(MOST_FILES), strict=False)]
    except (OSError, ValueError):
        return []
    return sorted(entries)
