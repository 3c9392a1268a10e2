"""Tools of the person's own: plain Python functions that the model may call.

They run in Pygent's process, outside the sandbox, so they are loaded only where somebody trusted: by the
program that embeds Pygent, from installed packages (entry points of the group `pygent.tools`), and from the
modules that the settings of a trusted folder name.  Such a module is run from the bytes that were trusted,
as are those beside it that it imports; nothing else is imported from a workspace.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any

import msgspec

from pygent.config.look import Look
from pygent.config.settings import ToolModule
from pygent.errors import ToolError
from pygent.sandbox.output import Output
from pygent.tools import Call, Result, Tool, ToolContext, builtin_tools, parameters_of
from pygent.tools.modules import modules_outside, run_module
from pygent.tools.runtime import Runtime

GROUP = "pygent.tools"
LONGEST_TITLE = 120
"""Characters of a call that its title shows; an approval shows all of it."""
Function = Callable[..., Any]
_own: dict[str, Tool] = {}
"""What this process's own program registered."""
_removed: set[str] = set()
"""The built-in tools that it removed."""
_target: ContextVar[dict[str, Tool]] = ContextVar("target", default=_own)


def tool(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: dict[str, Any] | None = None,
) -> Any:
    """Decorate a function that the model may call.

    Its name, docstring and annotated parameters tell the model what it is; a first parameter called `rt`
    gets a `Runtime` of the session's workspace.  With `parameters`, a JSON Schema, it is as in Pygent 1.0:
    the function always gets the `rt` first, then the arguments by name.  It may be `async`.
    Raises ValueError if there is a tool of that name.
    """

    def register(function: Function) -> Function:
        add(of_function(function, name=name, description=description, parameters=parameters))
        return function

    return register if function is None else register(function)


def register_tool(name: str, description: str, parameters: dict[str, Any], func: Function) -> None:
    """Offer `func(rt, **arguments)` to the model; `parameters` is a JSON Schema, as in Pygent 1.0.

    Raises ValueError if there is a tool of that name.
    """
    add(of_function(func, name=name, description=description, parameters=parameters))


def add(tool: Tool) -> None:
    """Register a tool.  Raises ValueError if there is one of that name."""
    target = _target.get()
    if tool.name in (of_program() if target is _own else {**builtin_tools(), **target}):
        raise ValueError(f"tool {tool.name} already registered")
    target[tool.name] = tool


def of_program() -> dict[str, Tool]:
    """What this process's program offers: the built-in tools that it has not removed, and its own."""
    kept = {name: tool for name, tool in builtin_tools().items() if name not in _removed}
    return {**kept, **_own}


def clear_tools() -> None:
    """Offer no tools, also not those that are built in."""
    _own.clear()
    _removed.update(builtin_tools())


def reset_tools() -> None:
    """Offer the built-in tools and no others."""
    _own.clear()
    _removed.clear()


def remove_tool(name: str) -> None:
    """No longer offer a tool.  Raises ValueError if there is none of that name."""
    if name not in of_program():
        raise ValueError(f"tool {name} not registered")
    if _own.pop(name, None) is None:
        _removed.add(name)


def of_function(
    function: Function,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: dict[str, Any] | None = None,
) -> Tool:
    """A tool made of a function, as `tool` has it.  Raises ValueError for what can't be described."""
    name = name or function.__name__
    documented = inspect.getdoc(function) or ""
    shape = _Shape.of(function, name) if parameters is None else _Shape(function, takes_runtime=True)
    return Tool(
        name=name,
        description=description or " ".join(documented.split()) or name,
        parameters=parameters or shape.schema(),
        bind=lambda arguments: _Call(name, shape, shape.bound(arguments, name), arguments),
        changes=True,
        source="program",
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a function is called: with the runtime or not, and by which struct its arguments are checked."""

    function: Function
    takes_runtime: bool
    struct: type[msgspec.Struct] | None = None

    @staticmethod
    def of(function: Function, name: str) -> _Shape:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
        fields: list[Any] = []
        for parameter in signature.parameters.values():
            if parameter.name == "rt":
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise ValueError(f"tool {name}: the parameter {parameter.name} can't be described to a model")
            kind = hints.get(parameter.name, str)
            plain = (parameter.name, kind)
            fields.append(plain if parameter.default is parameter.empty else (*plain, parameter.default))
        struct = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        return _Shape(function, "rt" in signature.parameters, struct)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return {"type": "object", "properties": {}} if self.struct is None else parameters_of(self.struct)

    def bound(self, arguments: dict[str, Any], name: str) -> dict[str, Any]:
        """The arguments, checked.  Raises ToolError."""
        try:
            if self.struct is not None:
                checked = msgspec.convert(arguments, self.struct, strict=False)
                return {field: getattr(checked, field) for field in self.struct.__struct_fields__}
            inspect.signature(self.function).bind(*([None] if self.takes_runtime else []), **arguments)
        except (msgspec.ValidationError, TypeError) as error:
            raise ToolError(f"Wrong arguments of {name}: {error}.") from error
        return arguments


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a person's own tool, ready to run."""

    name: str
    shape: _Shape
    arguments: dict[str, Any]
    given: dict[str, Any]
    confirm: bool = False

    def title(self) -> str:
        """The tool and what it gets."""
        return title_of(call_text(self.name, self.given))

    async def run(self, context: ToolContext) -> Result:
        """Ask if it must, then call the function; one that is not async runs on a thread of its own."""
        if self.confirm:
            await context.confirm_on_host(title=f"Call {self.name}", detail=call_text(self.name, self.given))
        loop = asyncio.get_running_loop()
        runtime = Runtime(loop, context.workspace, context.sandbox, lambda: context.settings, context.outputs)
        first = [runtime] if self.shape.takes_runtime else []
        try:
            if inspect.iscoroutinefunction(self.shape.function):
                said = await self.shape.function(*first, **self.arguments)
            else:
                said = await asyncio.to_thread(self.shape.function, *first, **self.arguments)
        except ToolError:
            raise
        except Exception as error:
            raise ToolError(f"{self.name} failed: {type(error).__name__}: {error}") from error
        text = said if isinstance(said, str) else msgspec.json.encode(said, enc_hook=str).decode()
        return result(text, context)


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A call whole, as Python writes it."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def title_of(call: str) -> str:
    """A call on a line of its start."""
    return call if len(call) <= LONGEST_TITLE else f"{call[: LONGEST_TITLE - 1]}…"


def result(text: str, context: ToolContext) -> Result:
    """What a tool said, made fit for the model: cleaned, capped, and kept whole in a file."""
    output = Output(context.outputs, context.item_id, None, context.settings.api_key)
    output.feed(text.encode("utf-8", "replace"))
    shown, whole = output.finish()
    if whole is not None:
        shown += f"\n[All of it is in {whole}.]"
    return Result(shown or "(nothing)", truncated=whole is not None)


# -- modules -----------------------------------------------------------------------------------------


def load(
    modules: Sequence[ToolModule], look: Look, accepted: Look | None = None
) -> tuple[dict[str, Tool], list[str]]:
    """The tools of installed packages and of these modules, and what could not be loaded, in sentences.

    `look` knows the workspace, and `accepted` has the files in it that were trusted; without it the modules
    are those that the person named at the start, and are taken as they are now.
    Imports code: to be called in a thread, for settings that may be trusted.
    """
    found: dict[str, Tool] = {}
    problems: list[str] = []
    with modules_outside(look):
        for point in entry_points(group=GROUP):
            _take(found, problems, point.name, point.load, confirm=True)
        for module in modules:
            load = functools.partial(run_module, module, look, accepted)
            _take(found, problems, module.module, load, confirm=module.confirm)
    return found, problems


def _take(
    found: dict[str, Tool], problems: list[str], name: str, load: Callable[[], Any], *, confirm: bool
) -> None:
    """Add what a module or entry point registers, or the function that it is."""
    try:
        with _collecting() as tools:
            loaded = load()
            if inspect.isfunction(loaded) and not tools:
                add(of_function(loaded))
    except BaseException as error:  # whatever somebody's module does, also exit()
        if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            raise
        problems.append(f"The tools of {name} can't be loaded: {type(error).__name__}: {error}.")
        return
    for tool in tools.values():
        if tool.name in found:
            problems.append(f"{name} has a tool {tool.name}, but there is one of that name already.")
        else:
            found[tool.name] = replace(tool, source=name, bind=_asking(tool.bind) if confirm else tool.bind)


def _asking(bind: Callable[[dict[str, Any]], Call]) -> Callable[[dict[str, Any]], Call]:
    def asking(arguments: dict[str, Any]) -> Call:
        call = bind(arguments)
        return replace(call, confirm=True) if isinstance(call, _Call) else call

    return asking


@contextlib.contextmanager
def _collecting() -> Iterator[dict[str, Tool]]:
    """Let what is registered meanwhile go into a dict of its own."""
    tools: dict[str, Tool] = {}
    token = _target.set(tools)
    try:
        yield tools
    finally:
        _target.reset(token)
