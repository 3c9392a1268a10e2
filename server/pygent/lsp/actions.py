"""Code actions on any document, and the commands behind them: explain, fix, test, document, delegate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pygent.errors import InvalidArgument, PygentError
from pygent.lsp import chat
from pygent.lsp.attachments import with_attachments
from pygent.lsp.commands import Arguments, command
from pygent.lsp.conversations.open import is_conversation
from pygent.paths import path_of
from pygent.records import TurnResult

if TYPE_CHECKING:
    from pygent.lsp.server import PygentServer

FIX = "Fix with Pygent"
SELECTION = {
    "Explain with Pygent": ("pygent.code.explain", "refactor"),
    "Write tests with Pygent": ("pygent.code.test", "refactor"),
    "Document with Pygent": ("pygent.code.document", "refactor.rewrite"),
    "Delegate to a background agent": ("pygent.code.delegate", "refactor"),
}
"""What can be done with a selection: its command and its kind."""
PROMPTS = {
    "explain": "Explain the code below: what it does, how, and what to look out for. Change nothing.",
    "fix": (
        "Fix the problems named below at their cause, with the smallest change of the file that does it, "
        "and change nothing else."
    ),
    "test": (
        "Write tests for the code below in the way this project writes its tests, beside the existing ones, "
        "and run them if there is a way to. Don't change the code itself."
    ),
    "document": (
        "Document the code below in its own file, in the style of its surroundings: docstrings or comments "
        "that say what a reader can't see. Change no code."
    ),
    "delegate": (
        "Carry out what the passage below asks for: a task, a TODO, a stub, a failing test or a description. "
        "If it asks for nothing, look for its defects and fix them."
    ),
}


class Code(Arguments, frozen=True, kw_only=True):
    """A range of a document, and the diagnostics that are meant; `wait` is as of chat."""

    uri: str
    range: dict[str, Any]
    diagnostics: list[dict[str, Any]] = msgspec.field(default_factory=list)
    wait: bool = True


@command("pygent.code.explain", "`TurnResult`, or with `wait: false` at once `{sessionId, turnId}`")
async def explain(server: PygentServer, args: Code) -> Any:
    """Explain code; the answer is shown in a document."""
    result = await _turn(server, args, "explain")
    if isinstance(result, TurnResult) and result.status == "completed":
        await server.views.show(f"pygent:/session/{result.session_id}.md")
    return result


@command("pygent.code.fix", "as `pygent.code.explain`")
async def fix(server: PygentServer, args: Code) -> Any:
    """Fix problems; the change comes as an edit of the document."""
    return await _turn(server, args, "fix")


@command("pygent.code.test", "as `pygent.code.explain`")
async def test(server: PygentServer, args: Code) -> Any:
    """Write tests for code."""
    return await _turn(server, args, "test")


@command("pygent.code.document", "as `pygent.code.explain`")
async def document(server: PygentServer, args: Code) -> Any:
    """Write docstrings or comments for code, as an edit of the document."""
    return await _turn(server, args, "document")


@command("pygent.code.delegate", "`{task}`")
async def delegate(server: PygentServer, args: Code) -> Any:
    """Give a passage to a background agent."""
    from pygent.delegation import DelegateRequest  # noqa: PLC0415 - not before it is needed

    attachments = _attachments(args)
    folder = server.conversations.folder_of(args.uri)
    session = chat.begin(server, folder_uri=folder.uri, title=_title("delegate", args))
    text, _ = with_attachments(session, PROMPTS["delegate"], attachments)
    request = DelegateRequest(text, folder, session_id=session.id)
    return {"task": await server.app.tasks.delegate(request)}


async def _turn(server: PygentServer, args: Code, kind: str) -> Any:
    """Run a turn of a session of its own about a range."""
    attachments = _attachments(args)
    folder = server.conversations.folder_of(args.uri)
    session = chat.begin(server, folder_uri=folder.uri, title=_title(kind, args))
    message = chat.Chat(text=PROMPTS[kind], session_id=session.id, attachments=attachments, wait=args.wait)
    return await chat.chat(server, message)


def _lines(args: Code) -> tuple[int, int]:
    """The first and the last line of the range, from 0.  Raises InvalidArgument."""
    try:
        start, end = args.range["start"], args.range["end"]
        first, last = int(start["line"]), int(end["line"])
        return first, last - (last > first and end.get("character") == 0)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InvalidArgument("range", "an LSP range") from None


def _attachments(args: Code) -> list[dict[str, Any]]:
    """The range, and the problems in it.  Raises InvalidArgument and PygentError."""
    first, last = _lines(args)
    if path_of(args.uri) is None:
        raise PygentError(
            "unsupported", "The agent works on files, and this document is none.", "Save it first."
        )
    span = {"start": {"line": first}, "end": {"line": last}}
    found: list[dict[str, Any]] = [{"uri": args.uri, "range": span}]
    if args.diagnostics:
        found.append({"uri": args.uri, "diagnostics": args.diagnostics})
    return found


def _title(kind: str, args: Code) -> str:
    path, (first, last) = path_of(args.uri), _lines(args)
    return f"{kind.capitalize()} {path.name if path else args.uri}:{first + 1}-{last + 1}"


# -- the actions ----------------------------------------------------------------------------------


def register(server: PygentServer) -> None:
    """Offer the code actions in every document but our own."""
    features = server.features
    handler = _Actions(server)
    features.answer("textDocument/codeAction", handler.actions, claims=lambda uri: not is_conversation(uri))
    features.announce("codeActionProvider", {"codeActionKinds": ["quickfix", "refactor", "refactor.rewrite"]})
    features.listen("textDocument/didClose", server.problems.closed)


class _Actions:
    def __init__(self, server: PygentServer) -> None:
        self._server = server

    def actions(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """`textDocument/codeAction`."""
        uri, span = params["textDocument"]["uri"], params["range"]
        context = params.get("context") if isinstance(params.get("context"), dict) else {}
        assert isinstance(context, dict)
        given = context.get("diagnostics")
        diagnostics = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        self._server.problems.told(uri, span, diagnostics)
        if path_of(uri) is None:
            return []
        found = []
        others = [one for one in diagnostics if one.get("source") != "pygent"]
        if others:
            arguments = {"uri": uri, "range": span, "diagnostics": others}
            found.append(self._action(FIX, "pygent.code.fix", arguments, "quickfix", others))
        if span["start"] != span["end"]:
            for title, (name, kind) in SELECTION.items():
                found.append(self._action(title, name, {"uri": uri, "range": span}, kind))
        return [one for one in found if _wanted(one, context.get("only"))]

    def _action(
        self,
        title: str,
        name: str,
        arguments: dict[str, Any],
        kind: str,
        diagnostics: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        if self._server.client.blocks and name != "pygent.code.delegate":
            arguments = {**arguments, "wait": False}
        run = {"title": title, "command": name, "arguments": [arguments]}
        if not self._server.client.action_literals:
            return run
        action = {"title": title, "kind": kind, "command": run}
        return {**action, "diagnostics": diagnostics} if diagnostics else action


def _wanted(action: dict[str, Any], only: Any) -> bool:
    """Whether an action is of a kind that is asked for; kinds hold those below them."""
    if not isinstance(only, list) or not only:
        return True
    kind = action.get("kind", "")
    return any(kind == one or kind.startswith(f"{one}.") for one in only if isinstance(one, str) and kind)
