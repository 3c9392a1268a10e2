"""What a client announces: our own options, and the capabilities that we make use of."""

from __future__ import annotations

from typing import Any

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`initializationOptions.pygent`; `token` is that of a server on a socket."""

    events: bool = False
    approvals: bool = False
    questions: bool = False
    trusted: bool | list[str] = False
    config: dict[str, Any] = {}
    token: str | None = None


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the optional requests and notifications the client takes."""

    progress: bool = False
    apply_edit: bool = False
    document_changes: bool = False
    labels: bool = False
    refreshes_lenses: bool = False
    action_literals: bool = False
    text_content: bool = False
    shows_documents: bool = False
    blocks: bool = False
    """The editor stands still while a command runs (those of Emacs), so it is answered at once."""
    creates: bool = False
    deletes: bool = False
    configuration: bool = False
    dynamic: frozenset[str] = frozenset()

    def registers(self, method: str) -> bool:
        """Whether the client takes `client/registerCapability` for a method."""
        return method in self.dynamic


def options_of(params: dict[str, Any]) -> tuple[Options, str | None]:
    """Our options out of `initialize`, and what was wrong with them; wrong ones are left out one by one."""
    given = (params.get("initializationOptions") or {}) if isinstance(params, dict) else {}
    wanted = given.get("pygent") if isinstance(given, dict) else None
    if not isinstance(wanted, dict):
        return Options(), None
    problem = None
    kept = {}
    for key, value in wanted.items():
        try:
            msgspec.convert({key: value}, Options)
            kept[key] = value
        except msgspec.ValidationError as error:
            problem = f"initializationOptions.pygent.{key}: {error}"
    return msgspec.convert(kept, Options), problem


def client_of(params: dict[str, Any]) -> Client:
    """What the client can, whatever else it says."""

    def has(*path: str) -> bool:
        return find(*path) not in (None, False)

    def find(*path: str) -> Any:
        return announced(params, *path)

    operations = find("workspace", "workspaceEdit", "resourceOperations")
    operations = (
        operations
        if isinstance(operations, list) and has("workspace", "workspaceEdit", "documentChanges")
        else []
    )
    return Client(
        progress=has("window", "workDoneProgress"),
        apply_edit=has("workspace", "applyEdit"),
        document_changes=has("workspace", "workspaceEdit", "documentChanges"),
        labels=has("workspace", "workspaceEdit", "changeAnnotationSupport"),
        refreshes_lenses=has("workspace", "codeLens", "refreshSupport"),
        action_literals=has("textDocument", "codeAction", "codeActionLiteralSupport"),
        text_content=has("workspace", "textDocumentContent"),
        shows_documents=has("window", "showDocument", "support"),
        blocks=_is_emacs(params, named=has("window")),
        creates="create" in operations,
        deletes="delete" in operations,
        configuration=has("workspace", "configuration"),
        dynamic=frozenset(
            f"{area}/{name}"
            for area in ("textDocument", "workspace")
            for name in find(area) or ()
            if has(area, name, "dynamicRegistration")
        ),
    )


def _is_emacs(params: dict[str, Any], *, named: bool) -> bool:
    """Whether it is eglot or lsp-mode; eglot 1.9 tells no name, nor of a `window`, but of `experimental`."""
    info = params.get("clientInfo")
    name = str(info.get("name")).lower() if isinstance(info, dict) else ""
    if name:
        return name.startswith(("eglot", "emacs"))
    told = params.get("capabilities")
    return not named and isinstance(told, dict) and isinstance(told.get("experimental"), dict)


def announced(params: dict[str, Any], *path: str) -> Any:
    """A capability as the client announces it in `initialize`; None if it says nothing."""
    value: Any = params.get("capabilities")
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
