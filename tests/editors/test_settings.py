"""`pygent.toml` in real editors: what is wrong, quick fix, hover, completion, a secret that moves to `.env`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.editors.page import block
from tests.editors.seat import FLOW, need, sit

HERE = Path(__file__).parent
TEXT = '# ä 😀\nmodle = "m"\n'

pytestmark = pytest.mark.e2e


async def test_in_neovim(workspace: Path, tmp_path: Path) -> None:
    need("nvim", "neovim")
    (workspace / "pygent.toml").write_text(TEXT)
    settings = tmp_path / "init.lua"
    settings.write_text(block("neovim", "lua"))
    command = "nvim", "-n", "-i", "NONE", "--headless", "-u", str(settings), "pygent.toml"
    await sit(workspace, [], *command, "-c", f"luafile {HERE / 'settings.lua'}")
    assert (workspace / "pygent.toml").read_text() == TEXT


async def test_in_emacs_with_eglot(workspace: Path, tmp_path: Path) -> None:
    need("emacs", "emacs-nox elpa-eglot")
    (workspace / "pygent.toml").write_text(TEXT)
    settings = tmp_path / "init.el"
    settings.write_text(block("emacs", "elisp"))
    await sit(workspace, [], "emacs", "-q", "--batch", "-l", str(settings), "-l", str(HERE / "settings.el"))
    assert (workspace / "pygent.toml").read_text() == TEXT


@pytest.mark.bubblewrap
async def test_in_emacs_with_lsp_mode(workspace: Path, tmp_path: Path, bwrap: str) -> None:
    need("emacs", "emacs-nox elpa-lsp-mode")
    (workspace / "a.py").write_text("value = 1\n")
    (workspace / "pygent.toml").write_text(TEXT)
    settings = tmp_path / "init.el"
    settings.write_text(block("emacs", "elisp", 1))
    emacs = "emacs", "-q", "--batch", "-f", "package-initialize"
    await sit(workspace, FLOW, *emacs, "-l", str(settings), "-l", str(HERE / "lsp-mode.el"))
    assert (workspace / "a.py").read_text() == "value = 1\n"
    assert (workspace / "allowed").exists()
    assert not (workspace / "denied").exists()
    assert (workspace / "pygent.toml").read_text() == TEXT


async def test_in_vim_with_ale(workspace: Path, tmp_path: Path) -> None:
    need("vim", "vim vim-ale")
    (workspace / "pygent.toml").write_text(TEXT)
    settings = tmp_path / "vimrc"
    settings.write_text(block("vim", "vim"))
    await sit(
        workspace,
        [],
        "vim",
        "--not-a-term",
        "-N",
        "-n",
        "-i",
        "NONE",
        "-u",
        str(settings),
        "-S",
        str(HERE / "settings.vim"),
        "pygent.toml",
    )
