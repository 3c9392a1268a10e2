"""The files of a folder that settings name: what is trusted with the settings, because it acts for them.

A command of the agent, or its `write_file`, can change every one of them (CVE-2025-54136 is what happens
where only the settings themselves are compared).
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pygent.config.guard import ACTING, Value
from pygent.config.load import Config
from pygent.config.look import Look
from pygent.config.settings import McpServer, ToolModule

_WORDS = re.compile(r"[\s;&|<>()'\",=:]+")
_CODE = (".py", ".pyc", ".pyd", ".so", ".js", ".cjs", ".mjs", ".ts", ".sh", ".rb", ".pl", ".php", ".lua")
"""What a program loads from beside itself."""
_ENTRIES = ("__main__.py", "__init__.py", "index.js", "package.json")
"""What an interpreter runs of a folder or package that it is given."""


def cover(config: Config, look: Look) -> None:
    """Take the files that the settings in force name into the look."""
    settings = config.settings
    look.add_places(
        Path(os.path.realpath(path))
        for path in (settings.workspace, *settings.sandbox.writable_paths)
        if path is not None
    )
    for key in (*ACTING, "snapshot", "initial_files"):
        value = config.values[key]
        for one in (value, *value.shadowed):
            if one.origin.layer not in ("flag", "default") and (one.of_folder or key in ACTING):
                look.cover(key, _paths(one, look))


def _paths(value: Value, look: Look) -> Iterator[Path]:
    match value.key:
        case "tools":
            for module in value.value:
                yield from _module(module, look)
        case "mcp_servers":
            for server in value.value.values():
                yield from _program(server, look)
        case _:
            said: tuple[Path | None, ...] = value.value if isinstance(value.value, tuple) else (value.value,)
            found = [look.inside(path) for path in said if path is not None]
            yield from (path for path in found if path is not None)


def module_path(module: ToolModule) -> Path:
    """Where a module of `[[tools]]` lies if it is a file beside the settings that name it."""
    name = module.module
    return module.base / (name if name.endswith(".py") else f"{name.replace('.', '/')}.py")


def _module(module: ToolModule, look: Look) -> Iterator[Path]:
    path = look.inside(module_path(module))
    if path is not None and look.is_file(path):
        yield from imported(path, path.parent, look, set())


def imported(path: Path, base: Path, look: Look, seen: set[Path]) -> Iterator[Path]:
    """A Python file, and those below `base` that it imports, and that these import."""
    if path in seen:
        return
    seen.add(path)
    yield path
    try:
        tree = ast.parse(look.data(path) or b"")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # it is not run either
    for name in _imports(tree):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            place = base.joinpath(*parts[:end])
            for candidate in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
                if look.is_file(candidate):
                    yield from imported(candidate, base, look, seen)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _program(server: McpServer, look: Look) -> Iterator[Path]:
    """The files that a server's command line names, with the code that lies beside each."""
    if server.command is None:
        return
    for path in _said((server.command, *server.args), look):
        yield path
        yield from _beside(path, look)


def _said(words: Iterable[str], look: Look) -> Iterator[Path]:
    """What the words of a command line can mean in the folder where it starts."""
    pieces = {piece for word in words for piece in (word, *_WORDS.split(word)) if piece.strip()}
    bases = [look.root]
    for piece in sorted(pieces):
        for base in list(bases):
            path = look.inside(base / piece.removeprefix("file://"))
            if path is not None and not look.is_file(path) and _is_folder(path, look):
                bases.append(path)  # `--directory tools server.py`
    for base in bases:
        for piece in sorted(pieces):
            dotted = [piece.replace(".", "/")] if re.fullmatch(r"[\w.]+", piece) else []
            names = [piece.removeprefix("file://"), *(f"{one}.py" for one in dotted)]
            names += [f"{one}/{entry}" for one in (piece, *dotted) for entry in _ENTRIES]
            found = (look.inside(base / name) for name in names if "\0" not in name)
            yield from (path for path in found if path is not None and look.is_file(path))


def _is_folder(path: Path, look: Look) -> bool:
    try:
        look.entries(path)
    except OSError:
        return False
    return True


def _beside(path: Path, look: Look) -> Iterator[Path]:
    """The code that a program loads from beside it.

    Of the workspace's own root these are its files of code, its packages and what a Python program imports;
    of any other folder it is everything in it.
    """
    if _is_installed(path, look):
        look.refused["mcp_servers"] = (
            f"{path} belongs to installed packages in the folder, which are too many to compare and which"
            " commands can change; name a program outside of the folder"
        )
        return
    folder = path.parent
    if not look.is_place(folder):
        yield folder
        return
    for name in look.entries(folder):
        if name.endswith(_CODE):
            yield folder / name
        elif look.is_file(folder / name / "__init__.py"):
            yield folder / name / "__init__.py"
    if path.suffix == ".py":
        yield from imported(path, folder, look, set())


def _is_installed(path: Path, look: Look) -> bool:
    above = [one for one in path.parents if look.inside(one) is not None]
    return "node_modules" in path.parts or any(look.is_file(one / "pyvenv.cfg") for one in above)
