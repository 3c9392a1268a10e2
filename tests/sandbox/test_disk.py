"""Commands fill no disk: what they write is limited, and thrown away where it is nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sandbox.world import make

pytestmark = pytest.mark.usefixtures("removed_at_the_end")
LIMIT = 48 << 20
MANY = "i=0; while i=$((i+1)); do head -c 4000000 /dev/urandom > @/f$i || exit 3; done"
ONE = "cat /dev/zero > @/f"
REMOVED = "exec 7> @/f; rm @/f; cat /dev/zero >&7"
HIDDEN = "mkdir -p @/d; cd @/d; chmod 300 .; cat /dev/zero > f"
GROWING = "python3 -c \"f = open('@/f', 'wb')\nwhile True: f.write(b'x' * 65536)\""
DEEP = (
    "python3 -c \"import os\nos.chdir(os.path.expandvars('@'))\n"
    "for n in range(1500): os.mkdir('d'); os.chdir('d')\n"
    "f = open('f', 'wb')\nwhile True: f.write(bytes(65536))\""
)
WAYS = {"many": MANY, "one": ONE, "removed": REMOVED, "hidden": HIDDEN, "growing": GROWING, "deep": DEEP}


@pytest.mark.parametrize("place", [".", "$TMPDIR", "$HOME"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_command_that_fills_the_disk_is_ended(
    way: str, place: str, kind: str, workspace: Path, state: Path
) -> None:
    if place != "." and kind in ("docker", "local"):
        pytest.skip("in memory there, and limited" if kind == "docker" else "not the sandbox's")
    sandbox = await make(kind, workspace, state, disk=LIMIT)
    done = await sandbox.run(WAYS[way].replace("@", place), timeout=60)
    again = await sandbox.run("echo still here; du -sm $TMPDIR $HOME 2>/dev/null | cut -f1")
    await sandbox.close()
    assert done.exit_code in (137, 143), done
    assert "more than 48 MiB (sandbox.disk)" in (done.hint or "")
    first, *sizes = again.output.split("\n")
    assert first == "still here"
    if place != ".":
        assert all(int(size) <= LIMIT >> 20 for size in sizes if size)


KEEPING = pytest.mark.parametrize("kind", ["landlock", "bubblewrap"], indirect=True)


@KEEPING
async def test_what_many_commands_leave_is_limited_too(kind: str, workspace: Path, state: Path) -> None:
    sandbox = await make(kind, workspace, state, disk=LIMIT)
    said = [
        (await sandbox.run(f"head -c 9000000 /dev/zero > $TMPDIR/{number}; sync -f $TMPDIR")).hint
        for number in range(12)
    ]
    done = await sandbox.run("du -sm $TMPDIR | cut -f1")
    await sandbox.close()
    assert any("is removed" in (hint or "") for hint in said)
    assert int(done.output) <= LIMIT >> 20


@KEEPING
async def test_what_is_written_over_and_over_takes_no_more_room(
    kind: str, workspace: Path, state: Path
) -> None:
    sandbox = await make(kind, workspace, state, disk=LIMIT)
    done = await sandbox.run("for i in $(seq 12); do head -c 20000000 /dev/urandom > f; done; echo done")
    await sandbox.close()
    assert (done.output, done.exit_code, done.hint) == ("done\n", 0, None)


async def test_what_others_write_is_not_the_commands(
    kind: str, workspace: Path, state: Path, tmp_path: Path
) -> None:
    def fill(_: str) -> None:
        (tmp_path / "other").write_bytes(bytes(3 * LIMIT))
        (workspace / "go").touch()

    sandbox = await make(kind, workspace, state, disk=LIMIT)
    wait = "echo ready; until [ -e go ]; do sleep 0.05; done; sleep 0.5; echo done"
    done = await sandbox.run(wait, timeout=60, on_output=lambda text: fill(text) if "ready" in text else None)
    await sandbox.close()
    assert (done.output, done.exit_code, done.hint) == ("ready\ndone\n", 0, None)


async def test_a_tree_that_is_too_deep_for_python_goes_with_the_sandbox(
    workspace: Path, state: Path, bwrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    sandbox = await make("bubblewrap", workspace, state)
    dig = "import os\nfor n in range(1500): os.mkdir('d'); os.chdir('d')\nos.mkdir('shut', 0)"
    done = await sandbox.run(f'cd /tmp; python3 -c "{dig}"')
    await sandbox.close()
    assert done.exit_code == 0
    assert not list((tmp_path / "own").iterdir())
