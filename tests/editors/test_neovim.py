"""Neovim with the configuration of its page: the whole flow, without a plugin."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.editors.page import block
from tests.editors.seat import FLOW, need, sit

STEPS = Path(__file__).parent / "neovim.lua"


@pytest.mark.e2e
@pytest.mark.bubblewrap
async def test_the_whole_flow(workspace: Path, tmp_path: Path, bwrap: str) -> None:
    need("nvim", "neovim")
    (workspace / "a.py").write_text("value = 1\n")
    settings = tmp_path / "init.lua"
    settings.write_text(block("neovim", "lua"))
    command = "nvim", "-n", "-i", "NONE", "--headless", "-u", str(settings), "a.py"
    await sit(workspace, FLOW, *command, "-c", f"luafile {STEPS}")
    assert (workspace / "a.py").read_text() == "value = 1\n"
    assert (workspace / "allowed").exists()
    assert not (workspace / "denied").exists()


def test_the_example_is_what_is_run() -> None:
    example = (REPOSITORY / "examples/neovim.lua").read_text()
    assert example.split("\n", 1)[1] == block("neovim", "lua")
