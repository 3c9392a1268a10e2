"""Typing in a real Neovim, whose edits have no versions, while an answer streams in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.editors.page import block
from tests.editors.seat import need, sit, to

from pygent.replay import Reply

STEPS = Path(__file__).parent / "typing.lua"
ANSWER = "\n".join(" ".join(f"w{row * 6 + n:03d}" for n in range(6)) for row in range(30)) + "\n\nthe end."


@pytest.mark.e2e
async def test_what_is_typed_stays_and_the_answer_is_whole(workspace: Path, tmp_path: Path) -> None:
    need("nvim", "neovim")
    settings = tmp_path / "init.lua"
    settings.write_text(block("neovim", "lua"))
    command = "nvim", "-n", "-i", "NONE", "--headless", "-u", str(settings), "chat.pygent.md"
    reply = to("Count", Reply(text=ANSWER, fragment=4, delay=0.05))
    await sit(workspace, [reply], *command, "-c", f"luafile {STEPS}")
    text = (workspace / "result.txt").read_text()
    left = re.sub(r"\n{3,}", "\n\n", re.sub(r"\[\d+\]\n?", "", text)).strip()
    left = re.sub("ses_[0-9a-f]+", "ses", left)
    assert left == f"<!-- pygent: ses -->\n\n## You\n\nCount\n\n## Pygent\n\n{ANSWER}\n\n## You"
