"""Emacs and eglot with the configuration of their page: the whole flow, without a plugin."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.editors.page import block
from tests.editors.seat import FLOW, need, sit

STEPS = Path(__file__).parent / "emacs.el"


@pytest.mark.e2e
@pytest.mark.bubblewrap
async def test_the_whole_flow(workspace: Path, tmp_path: Path, bwrap: str) -> None:
    need("emacs", "emacs-nox elpa-eglot")
    (workspace / "a.py").write_text("value = 1\n")
    settings = tmp_path / "init.el"
    settings.write_text(block("emacs", "elisp"))
    await sit(workspace, FLOW, "emacs", "-q", "--batch", "-l", str(settings), "-l", str(STEPS))
    assert (workspace / "a.py").read_text() == "value = 1\n"
    assert (workspace / "allowed").exists()
    assert not (workspace / "denied").exists()
