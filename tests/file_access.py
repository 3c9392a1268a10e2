"""Finds where the product looks at files by their names, past the door of `pygent.files`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

OS = frozenset(
    [
        "access",
        "chmod",
        "chown",
        "link",
        "listdir",
        "lstat",
        "makedirs",
        "mkdir",
        "mkfifo",
        "open",
        "readlink",
        "remove",
        "removedirs",
        "rename",
        "renames",
        "replace",
        "rmdir",
        "scandir",
        "stat",
        "symlink",
        "truncate",
        "unlink",
        "utime",
        "walk",
    ]
)
OS_PATH = frozenset("exists getatime getmtime getsize isdir isfile islink lexists samefile".split())  # noqa: SIM905
SHUTIL = frozenset("copy copy2 copyfile copymode copystat copytree move rmtree".split())  # noqa: SIM905
PLAIN = frozenset(["open", "dotenv_values", "load_dotenv", "run_path"])
PATH = frozenset(
    [
        "chmod",
        "exists",
        "glob",
        "hardlink_to",
        "is_dir",
        "is_file",
        "is_symlink",
        "iterdir",
        "lchmod",
        "lstat",
        "mkdir",
        "open",
        "read_bytes",
        "read_text",
        "readlink",
        "rename",
        "rglob",
        "rmdir",
        "stat",
        "symlink_to",
        "touch",
        "unlink",
        "walk",
        "write_bytes",
        "write_text",
    ]
)
"""Names of `pathlib.Path`; of the door's and a workspace's own functions, some have the same."""
DOOR = frozenset(["files", "file_trees", "workspace", "_workspace", "self"])
HANDLES = frozenset(["dir_fd", "src_dir_fd", "dst_dir_fd"])


def offences(source: str) -> Iterator[tuple[str, str, int]]:
    """The function, the name and the line of each look at a file by its name."""
    yield from _inside(ast.parse(source), "")


def _inside(node: ast.AST, where: str) -> Iterator[tuple[str, str, int]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    inner = [*ast.iter_child_nodes(node)]
    if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
        inner = [*node.value.args, *node.value.keywords]  # what is awaited is no look at a file
    elif isinstance(node, ast.Call) and _is_fine(node):
        inner = [*node.args, *node.keywords]
    elif isinstance(node, ast.Attribute | ast.Name) and (name := _look(node)) is not None:
        yield where, name, node.lineno
    for one in inner:
        yield from _inside(one, where)


def _is_fine(call: ast.Call) -> bool:
    """Whether a call that has a look's name is none, or one relative to a handle."""
    if HANDLES & {keyword.arg for keyword in call.keywords}:
        return True
    # A path's `open` takes a mode; those of sessions and connections take something else.
    module, _, last = ast.unparse(call.func).rpartition(".")
    opens = last == "open" and module not in ("", "os")
    return opens and bool(call.args) and not isinstance(call.args[0], ast.Constant)


def _look(name: ast.Attribute | ast.Name) -> str | None:
    """What a name that is called or handed on looks at files with; None if it does not."""
    module, _, last = ast.unparse(name).rpartition(".")
    known = {"os": OS, "os.path": OS_PATH, "shutil": SHUTIL, "": PLAIN}.get(module, PATH)
    if last not in known or module.rpartition(".")[2] in DOOR:
        return None
    return ast.unparse(name)


def of_package(package: Path) -> dict[str, list[str]]:
    """The looks of each function, by `module:function`, with their lines."""
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).with_suffix("").as_posix().replace("/", ".")
        if module in ("files", "file_trees"):
            continue
        for where, call, line in offences(path.read_text()):
            found.setdefault(f"{module}:{where}", []).append(f"{call} in line {line}")
    return found
