"""One door: no module looks at a workspace by the names of its files; who looks at other files says why."""

from __future__ import annotations

import pytest
from tests.conftest import REPOSITORY
from tests.file_access import of_package, offences

PACKAGE = REPOSITORY / "server/pygent"

OURS = "the state folder, which no command can write"
PERSON = "a path that the person names on the command line, in a call or in the editor"
SYSTEM = "/proc, /sys, /dev, /etc or a program of the system"
PACKAGED = "a file of the package itself"
HANDLE = "entries of a folder that is open by its handle"
LOOK = "a look at the folder, which reads through the door"
ROOT = "the workspace's own folder, of which only owner or identity is asked"
TEMPORARY = "a folder that was just made for it, or that holds nothing of the workspace"

ALLOWED = {
    "classic.process": PERSON,
    "classic.runtime:Runtime.__init__": PERSON,
    "cli.actions:cp": PERSON,
    "cli.commands:_existing": PERSON,
    "cli.config": PERSON,
    "cli.demo.__init__:demo": PACKAGED,
    "cli.place:place": PERSON,
    "cli.start:start": SYSTEM,
    "config.check:_missing": "whether a path of the settings is there, for a person who checks them; nothing of it is read",
    "config.load:_of_files": PERSON,
    "config.named": LOOK,
    "config.standing:Standing._stamps": "whether a file has changed; nothing of it is read",
    "config.trust": OURS,
    "delegation:Tasks._given": OURS,
    "delegation:Tasks.clean": OURS,
    "doctor:_state": OURS,
    "folder:Folder._populate": "a snapshot that trusted settings name",
    "folder:Folder._workspace_root": "outside of the settings' folder, so the person's choice",
    "gitignore": HANDLE,
    "history:Written._entries": OURS,
    "images": OURS,
    "initial_files:_source": "outside of what commands can write, so the person's choice",
    "leases": OURS,
    "logs:LogFile._open": "hands the opening on to `files.private`",
    "lsp.chat:session_rename": "a session's name, no file's",
    "lsp.folders:_is_there": PERSON,
    "lsp.settings.edits:workspace_edit": "whether the editor has to make a file; nothing of it is read",
    "lsp.settings.values:_entries": "names below a path that the person types",
    "lsp.transport:claim_streams": SYSTEM,
    "lsp.views": OURS,
    "model.memory:Memory._read": OURS,
    "model.network": "certificates of the system, or those that the person names",
    "paths:owned": OURS,
    "prompts.__init__:_text": PACKAGED,
    "replay": PERSON,
    "results": OURS,
    "sandbox.bubblewrap": SYSTEM,
    "sandbox.cgroup": SYSTEM,
    "sandbox.confined:main": SYSTEM,
    "sandbox.container:_passwd": OURS,
    "sandbox.container:identities": "which folder was mounted; nothing of it is read",
    "sandbox.container:owner_ids": ROOT,
    "sandbox.container:processes": SYSTEM,
    "sandbox.container:supervisor_source": PACKAGED,
    "sandbox.credentials": "folders of tools outside of the workspace, which no command can write",
    "sandbox.disk": TEMPORARY,
    "sandbox.disk:Disk.free": "how much room a file system has",
    "sandbox.disk:_written": SYSTEM,
    "sandbox.host": TEMPORARY,
    "sandbox.local:LocalSandbox.__init__": SYSTEM,
    "sandbox.local:owner_of": ROOT,
    "sandbox.marks:_statuses": HANDLE,
    "sandbox.net": SYSTEM,
    "sandbox.output": OURS,
    "sandbox.owner": SYSTEM,
    "sandbox.process:_memory": SYSTEM,
    "sandbox.profile": "paths of the person's settings, looked at part by part before they are pinned",
    "sandbox.supervisor": "runs inside of the sandbox",
    "sandbox.survey": HANDLE,
    "sandbox.tree": SYSTEM,
    "saved:_copy_files": TEMPORARY,
    "saved:_exchange": PERSON,
    "saved:aside": OURS,
    "saved:check_source": PERSON,
    "saved:check_target": PERSON,
    "saved:is_snapshot": PERSON,
    "saved:known_secrets": "parses a text that was read through the door",
    "saved:save": TEMPORARY,
    "schema:open_database": OURS,
    "sessions": OURS,
    "shadow": OURS,
    "snapshots:copy_some": OURS,
    "snapshots:give": OURS,
    "task_folders": OURS,
    "tools.modules:run_module": "outside of the settings' folder, so the person's choice",
    "tools.runtime": PERSON,
    "trees": OURS,
    "trees.scan": HANDLE,
}
"""Modules, or functions of modules, with what they look at by its name."""


def entry_of(place: str, listed: set[str]) -> str | None:
    """The entry that a `module:function` falls under: its own, or that of its module or package."""
    module = place.partition(":")[0]
    parents = [module.rsplit(".", n)[0] for n in range(module.count(".") + 1)]
    return next((one for one in (place, *parents) if one in listed), None)


def test_the_workspace_is_looked_at_through_the_door_only() -> None:
    listed = set(ALLOWED)
    wrong = {place: calls for place, calls in of_package(PACKAGE).items() if not entry_of(place, listed)}
    assert not wrong, "use pygent.files, or list the place in tests/test_file_access.py with what it looks at"


def test_every_exception_is_needed() -> None:
    used = {entry_of(place, set(ALLOWED)) for place in of_package(PACKAGE)}
    assert set(ALLOWED) - used == set()


OFFENCES = [
    "open(path)",
    "path.open('rb')",
    "path.open()",
    "(root / name).read_text()",
    "Path(name).exists()",
    "os.stat(path)",
    "os.path.isfile(path)",
    "os.walk(root)",
    "shutil.copy2(one, other)",
    "shutil.rmtree(path)",
    "path.parent.mkdir(parents=True)",
    "[one for one in root.rglob('*')]",
    "dotenv_values(path)",
    "asyncio.to_thread(path.read_bytes)",
    "map(Path.exists, paths)",
]
FINE = [
    "files.read(path, root, 1)",
    "workspace.is_file(path)",
    "self._workspace.exists(path)",
    "os.stat(name, dir_fd=folder)",
    "os.replace(one, other, src_dir_fd=a, dst_dir_fd=b)",
    "os.path.realpath(path)",
    "await line.open()",
    "sessions.open(info, folder)",
    "text.replace('a', 'b')",
    "known.copy()",
]


@pytest.mark.parametrize("line", OFFENCES)
def test_a_look_by_name_is_found(line: str) -> None:
    assert [where for where, _, _ in offences(f"class A:\n    async def f(self):\n        {line}")] == ["A.f"]


@pytest.mark.parametrize("line", FINE)
def test_a_look_through_a_handle_is_none(line: str) -> None:
    assert list(offences(f"async def f(self):\n    {line}")) == []
