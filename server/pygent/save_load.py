"""Saving a session with its workspace to a folder, and going on from one (`pygent.snapshot.*`)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pygent import history, saved
from pygent.errors import PygentError
from pygent.records import now_ms
from pygent.saved import Kept, Saved
from pygent.session import Session
from pygent.sessions import Sessions
from pygent.snapshots import unsaved


async def save(session: Session, target: Path) -> Saved:
    """Save workspace, conversation and settings; secrets are left out, and said to be.

    Raises PygentError `denied` or `conflict`, and there is nothing half saved.
    """
    folder = session.folder
    launch, root = folder.launch, folder.workspace.root
    real = saved.check_target(target, launch.home, root, launch.state)
    hidden = saved.known_secrets(folder.config, launch.environ, root)
    return await _save(session, real, hidden=hidden)


async def _save(
    session: Session, target: Path, *, hidden: Sequence[bytes] | None, more: Iterable[str] = ()
) -> Saved:
    workspace, info = session.folder.workspace, session.info
    settings = saved.settings_to_keep(session.folder.config)
    if info.model is not None:
        settings["model"] = info.model
    kept = Kept(
        format=saved.FORMAT,
        saved_at=now_ms(),
        title=info.title,
        persona=info.persona,
        tools_off=sorted(session.tools.off),
        settings=settings,
    )
    return await asyncio.to_thread(
        saved.save,
        target,
        workspace.root,
        buffers=unsaved(workspace),
        messages=[*session.whole_conversation()],
        kept=kept,
        hidden=hidden,
        more=more,
    )


async def load(
    sessions: Sessions, current: Session, source: Path, *, protected: Collection[str] = ()
) -> Saved:
    """Put a snapshot's files into the workspace and begin a session with its conversation.

    Protected files are left out, but for those in `protected`, which the person named.  What the workspace
    held is saved first, in the state folder, so that nothing is lost; `before` of the result says where.
    Raises PygentError, and nothing is changed.
    """
    folder = current.folder
    real = saved.check_source(source)
    if current.turn_id is not None:
        raise PygentError("busy", "A turn is running in this session.", "Cancel it first.")
    kept, problems = saved.read(real)
    history.read(real / "history.json", real)
    before = saved.aside(folder.launch.state)
    found, _ = saved.contents(real, protected)
    await _save(current, before, hidden=None, more=found)
    files, left_out = await asyncio.to_thread(
        saved.copy_in, real, folder.workspace.root, replace=True, protected=protected
    )
    folder.restore(kept.settings)
    folder.problems += problems
    session = sessions.new(folder, snapshot=(real, kept))
    return Saved(dir=str(real), files=files, left_out=left_out, before=str(before), session_id=session.id)


def left_out(done: Saved) -> str:
    """What is not in a snapshot, in a line for people; empty if all is."""
    names = ", ".join(f"{one.path} ({one.reason})" for one in done.left_out[:5])
    more = f" and {len(done.left_out) - 5} more" if len(done.left_out) > 5 else ""
    return f"Left out: {names}{more}." if names else ""
