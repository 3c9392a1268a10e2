"""The problems of the settings as LSP diagnostics."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pygent.config import Config, Diagnostic

SEVERITY = {"error": 1, "warning": 2, "hint": 4}


def by_file(configs: Iterable[Config], encoding: str) -> dict[str, list[dict[str, Any]]]:
    """Diagnostics by the URI of their file; columns in units of the client's position encoding."""
    found: dict[str, list[dict[str, Any]]] = {}
    for config in configs:
        for problem in config.diagnostics:
            if problem.file is not None:
                found.setdefault(Path(problem.file).as_uri(), []).append(_diagnostic(problem, encoding))
    return found


def _diagnostic(problem: Diagnostic, encoding: str) -> dict[str, Any]:
    lines = _lines(Path(problem.file or ""))
    start = _position(lines, problem.line or 1, problem.column or 1, encoding)
    end = _position(lines, problem.end_line or problem.line or 1, problem.end_column or 1 << 20, encoding)
    message = problem.message if problem.fix is None else f"{problem.message} {problem.fix}"
    return {
        "range": {"start": start, "end": end},
        "severity": SEVERITY[problem.severity],
        "code": problem.code,
        "source": "pygent",
        "message": message,
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return []


def _position(lines: list[str], line: int, column: int, encoding: str) -> dict[str, int]:
    text = lines[line - 1][: column - 1] if line <= len(lines) else ""
    if encoding == "utf-8":
        units = len(text.encode())
    elif encoding == "utf-32":
        units = len(text)
    else:
        units = len(text.encode("utf-16-le")) // 2
    return {"line": line - 1, "character": units}
