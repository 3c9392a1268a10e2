"""Completion of messages: files as git would list them, tasks, commands."""

from __future__ import annotations

from pathlib import Path

from tests.lsp.wire import editor

from pygent.replay import Reply


async def test_files_tasks_and_commands(workspace: Path) -> None:
    (workspace / ".gitignore").write_text("*.log\n")
    (workspace / "src").mkdir()
    for name in ("src/shop.py", "shop_test.py", "shop.log", "other.py"):
        (workspace / name).write_text("")
    async with editor(workspace, Reply(text="Done.")) as wire:

        async def labels(text: str) -> list[str]:
            return [one["label"] for one in (await wire.command("pygent.complete", text=text))["items"]]

        assert await labels("look at @sho") == ["src/shop.py", "shop_test.py"]
        assert await labels("@srsho") == ["src/shop.py"]
        assert await labels("/un") == ["/undo"]
        assert await labels("mail me@example") == []
        assert await labels("plain words") == []
        (file, *_) = (await wire.command("pygent.complete", text="@other"))["items"]
        assert file == {"label": "other.py", "insert": "@other.py ", "uri": (workspace / "other.py").as_uri()}
        task = (await wire.command("pygent.delegate", "tidy up"))["task"]
        (found,) = (await wire.command("pygent.complete", text="as @tidy"))["items"]
        assert (found["label"], found["insert"]) == ("@tidy up", f"@{task['id']} ")
