"""The agent's tools: what a tool is, what it may use, and the list of those that are built in.

A built-in tool is one `Arguments` class: its fields are what the model passes, its docstring is what the
model reads, its `run` does the work.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from pygent.errors import ToolError
from pygent.events import ChangeMade, Emit
from pygent.lazily import lazily
from pygent.protected import is_secret
from pygent.records import (
    Approval,
    ChangeKind,
    Decision,
    Isolation,
    Persona,
    Question,
    ToolStatus,
    TurnStatus,
    Wire,
    new_id,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pygent.config import Settings
    from pygent.sandbox import Sandbox
    from pygent.tasks import Delegation
    from pygent.tools.background import Background
    from pygent.workspace import Workspace


class Declined(ToolError):
    """A person, or a rule of theirs, did not allow the call; the message is told to the model."""


class TurnCancelled(Exception):
    """A person answered an approval with `cancel`: the turn ends."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the model is told of a call.

    `ends` ends the turn after this step; `image` is the name of a stored image to show the model.
    """

    output: str
    status: ToolStatus = "completed"
    exit_code: int | None = None
    truncated: bool = False
    image: str | None = None
    ends: TurnStatus | None = None
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a call may use; `outputs` is where whole outputs of this session's commands are kept.

    `checkpoint` remembers the workspace as it is before the turn's first change.
    """

    session_id: str
    task_id: str | None
    item_id: str
    settings: Settings
    workspace: Workspace
    isolation: Isolation
    sandbox: Callable[[], Awaitable[Sandbox]]
    emit: Emit
    approve: Callable[[Approval], Awaitable[Decision]]
    ask: Callable[[Question], Awaitable[str | None]]
    store_image: Callable[[bytes, str], str]
    step_timeout: float | None
    delegation: Delegation | None
    personas: Callable[[], list[Persona]]
    background: Background
    outputs: Path
    checkpoint: Callable[[], Awaitable[None]]

    async def confirm(self, **fields: Any) -> None:
        """Get a person's consent for an `Approval` of these fields.

        Raises Declined with the person's feedback, or TurnCancelled.
        """
        fields = {"isolation": self.isolation, **fields}
        decision = await self.approve(
            Approval(id=new_id("apr"), session_id=self.session_id, task_id=self.task_id, **fields)
        )
        if decision.decision == "cancel":
            raise TurnCancelled
        if decision.decision == "decline":
            said = f" They said: {decision.feedback}" if decision.feedback else ""
            raise Declined(f"The person declined this call.{said} Do not repeat it; find another way or ask.")

    async def confirm_on_host(self, **fields: Any) -> None:
        """Get consent for a tool that runs outside of any sandbox.  Raises as `confirm`."""
        await self.confirm(kind="tool", isolation="local", network=True, **fields)

    async def confirm_secret(self, name: str) -> None:
        """Get consent to show a file that holds secrets.  Raises as `confirm`."""
        if is_secret(name):
            title = f"Show the model {name}, which may hold secrets"
            await self.confirm(kind="path", title=title, detail=name)

    def opened(self, path: Path) -> bool:
        """Whether the settings let this be changed although it is protected."""
        return any(one == path or one in path.parents for one in self.settings.sandbox.writable_paths)

    def changed(self, path: Path, kind: ChangeKind, diff: str) -> None:
        """Announce that this call changed a file."""
        self.emit(ChangeMade(item_id=self.item_id, uri=path.as_uri(), kind=kind, diff=diff))


class Call(Protocol):
    """A call with its arguments, ready to run."""

    def title(self) -> str:
        """A short line that tells people what the call does."""

    async def run(self, context: ToolContext) -> Result:
        """Do it.  Raises ToolError for what the model should know and can mend."""


class Arguments(msgspec.Struct, kw_only=True):
    """The arguments of a built-in tool, which are also its `Call`."""

    name: ClassVar[str]
    parallel: ClassVar[bool] = False
    """Whether the tool changes nothing, so that calls of one answer may run at the same time."""
    changes: ClassVar[bool] = False
    """Whether the tool may change files of the workspace."""
    delegates: ClassVar[bool] = False
    """Whether the tool belongs to delegation, which is one level deep."""

    def title(self) -> str:
        """A short line that tells people what the call does."""
        return self.name

    async def run(self, context: ToolContext) -> Result:
        """Do it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model and the lists see it; `bind` makes a call of the model's arguments."""

    name: str
    description: str
    parameters: dict[str, Any]
    bind: Callable[[dict[str, Any]], Call]
    parallel: bool = False
    changes: bool = False
    delegates: bool = False
    source: str = "built-in"


class ToolInfo(Wire, frozen=True, kw_only=True):
    """A tool as `pygent.tools` lists it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]
    enabled: bool
    source: str


@functools.cache
def builtin_tools() -> dict[str, Tool]:
    """The built-in tools by name, in the order in which the model is told of them."""
    from pygent.tools import (  # noqa: PLC0415 - they import us
        background,
        control,
        delegation,
        files,
        images,
        search,
        shell,
    )

    modules = (shell, background, files, search, images, control, delegation)
    return {kind.name: _tool(kind) for module in modules for kind in module.TOOLS}


def serialise(tools: list[Tool]) -> bytes:
    """The tools as the `tools` array of a chat completion."""
    return msgspec.json.encode(
        [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in tools
        ]
    )


def _tool(kind: type[Arguments]) -> Tool:
    def bind(arguments: dict[str, Any]) -> Call:
        try:
            return msgspec.convert(arguments, kind, strict=False)
        except msgspec.ValidationError as error:
            raise ToolError(f"Wrong arguments of {kind.name}: {error}.") from error

    description = " ".join((kind.__doc__ or "").split())
    parameters = parameters_of(kind)
    return Tool(kind.name, description, parameters, bind, kind.parallel, kind.changes, kind.delegates)


def parameters_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The class's JSON Schema in the plain form that every server's tool parser takes."""
    _, definitions = msgspec.json.schema_components([kind], ref_template="{name}")
    schema = definitions.pop(kind.__name__)
    parameters = {"type": "object", "properties": _inline(schema["properties"], definitions)}
    if schema.get("required"):
        parameters["required"] = schema["required"]
    return parameters


def _inline(value: Any, definitions: dict[str, Any]) -> Any:
    """Replace references, nullable unions and defaults, which small models and servers stumble over."""
    if isinstance(value, list):
        return [_inline(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        value = {
            key: item
            for key, item in definitions[value["$ref"]].items()
            if key not in ("title", "description")
        }
    options = [option for option in value.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        value = {**{key: item for key, item in value.items() if key != "anyOf"}, **options[0]}
    return {key: _inline(item, definitions) for key, item in value.items() if key != "default"}


if not TYPE_CHECKING:  # Pygent 1.0 had these here
    _OLD = ("clear_tools", "register_tool", "remove_tool", "reset_tools", "tool")
    __getattr__ = lazily(__name__, dict.fromkeys(_OLD, "pygent.tools.user"))
