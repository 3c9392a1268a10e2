"""Quick fixes as code actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygent.config.bindings import Bindings
from pygent.lsp.diagnostics import Places, of_file
from pygent.lsp.settings.documents import Document
from pygent.lsp.settings.edits import Fix, dotenv, workspace_edit
from pygent.lsp.settings.fixes import fixes

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

KIND = "quickfix"


def actions(server: PygentServer, document: Document, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The quick fixes for what is wrong in the lines of a range; none for clients that take commands only."""
    context = params.get("context") or {}
    only = context.get("only")
    wanted = not only or any(f"{KIND}.".startswith(f"{one}.") for one in only)
    if not server.client.action_literals or not wanted:
        return []
    given = [one for one in context.get("diagnostics") or [] if isinstance(one, dict)]
    places = Places(server)
    found = []
    for problem in of_file(document.config, document.path):
        shown = places.diagnostic(problem)
        if _meet(shown["range"], params["range"]):
            same = [one for one in given if all(one.get(key) == shown[key] for key in ("code", "range"))]
            found += [
                _action(server, document, fix, same or [shown])
                for fix in fixes(document, problem)
                if fix.binding is None or not _is_bound(server, document, fix.binding)
            ]
    return found


def _is_bound(server: PygentServer, document: Document, binding: str) -> bool:
    """Whether the `.env` has a value for that name, which a second line would take the place of."""
    name = binding.partition("=")[0]
    return any(one.name == name and one.value for one in Bindings(dotenv(server, document).text).bindings)


def _action(
    server: PygentServer, document: Document, fix: Fix, diagnostics: list[dict[str, Any]]
) -> dict[str, Any]:
    action: dict[str, Any] = {"title": fix.title, "kind": KIND, "diagnostics": diagnostics}
    if fix.preferred:
        action["isPreferred"] = True
    if fix.command is not None:
        name, arguments = fix.command
        action["command"] = {"title": fix.title, "command": name, "arguments": [arguments]}
    if fix.edits:
        action["edit"] = workspace_edit(server, document, fix)
    return action


def _meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two ranges are on the same line: who is at a key means what is wrong with its value, too."""
    return bool(one["start"]["line"] <= other["end"]["line"] and other["start"]["line"] <= one["end"]["line"])
