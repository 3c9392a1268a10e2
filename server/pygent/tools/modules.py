"""Running the modules of `[[tools]]`: from bytes that were trusted, and with nothing else of a workspace."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from pygent.config.look import Look
from pygent.config.named import imported, module_path
from pygent.config.settings import ToolModule


@contextlib.contextmanager
def modules_outside(look: Look) -> Iterator[None]:
    """Let nothing be imported from a workspace, where a command could have put it.

    What this Python itself is installed with stays, also where it lies in the workspace.
    """
    own = (Path(sys.prefix), Path(sys.base_prefix))
    before = sys.path
    kept = [
        entry
        for entry in before
        if not look.is_below(Path(entry or ".")) or any(prefix in Path(entry).parents for prefix in own)
    ]
    # Another list, not other entries: a thread that goes through the old one meanwhile would skip some.
    sys.path = kept[:]
    try:
        yield
    finally:
        added = [entry for entry in sys.path if entry not in kept]
        sys.path = [*added, *before] if added else before


def run_module(module: ToolModule, look: Look, accepted: Look | None) -> ModuleType:
    """A module by its file, beside the settings that name it, or else by its name."""
    path = module_path(module)
    inside = look.inside(path)
    if inside is None and path.is_file():
        return _run(path, path.parent, None)
    if inside is not None:
        if accepted is None:
            accepted = Look(look.root)
            list(imported(inside, inside.parent, accepted, set()))
        if accepted.holds(inside):
            return _run(inside, inside.parent, accepted)
    sys.modules.pop(module.module, None)  # its tools are registered when it runs
    return importlib.import_module(module.module)


def _run(path: Path, base: Path, look: Look | None) -> ModuleType:
    """Run a file as a module; one of a workspace from the bytes of the look, and what it imports, too."""
    name = f"pygent_tools_{path.stem}"
    if look is None:
        spec = importlib.util.spec_from_file_location(name, path)
    else:
        spec = importlib.util.spec_from_loader(name, _Trusted(base, look), origin=str(path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class _Trusted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a folder of a workspace, and runs them from bytes that were trusted."""

    def __init__(self, base: Path, look: Look) -> None:
        self._base = base
        self._look = look

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module beside the one that is run; asked last, so that it takes no other's place."""
        place = self._base.joinpath(*fullname.split("."))
        for file, package in ((place / "__init__.py", True), (place.with_name(f"{place.name}.py"), False)):
            if self._look.holds(file):
                return importlib.util.spec_from_loader(fullname, self, origin=str(file), is_package=package)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the bytes; what they import is not left behind, as another folder may have it, too."""
        origin = "" if module.__spec__ is None else module.__spec__.origin or ""
        module.__file__ = origin
        before = set(sys.modules)
        sys.meta_path.append(self)
        try:
            exec(compile(self._look.data(Path(origin)) or b"", origin, "exec"), module.__dict__)
        finally:
            sys.meta_path.remove(self)
            if module.__name__ not in before:
                for name in set(sys.modules) - before:
                    if getattr(sys.modules[name].__spec__, "loader", None) is self:
                        del sys.modules[name]
