"""Saved snapshots: a folder with a workspace's files, a conversation and settings, and never a secret.

The layout is that of the original Pygent 1.0 (`workspace/`, `history.json`), whose `env.json` is read and
never written: it held keys.  `settings.json` has what that file was for.  A snapshot may come from anybody:
what is loaded from one is checked as what lies in a folder that nobody trusted.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from pygent import files, history
from pygent.config import TABLE, VARIABLES, Config, wire
from pygent.errors import PygentError
from pygent.files import write_atomic
from pygent.gitignore import walk
from pygent.protected import is_protected, is_secret
from pygent.records import Persona, Wire, now_ms
from pygent.redaction import parts
from pygent.workspace import check_root

FORMAT = 1
MAX_FILE = 256 * 1024 * 1024
"""Bytes of a file that goes into a snapshot or comes out of one."""
MAX_DOTENV = 1024 * 1024
MASK = b"[secret]"
SECRET_NAMES = ("*KEY*", "*TOKEN*", "*SECRET*", "*PASS*", "*CREDENTIAL*", "*AUTH*")
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
OWN = ("settings.json", "history.json", "workspace", "env.json", "cli.log")
"""What a snapshot's folder may hold; one with anything else in it is no snapshot and is never replaced."""


class Kept(Wire, frozen=True, kw_only=True):
    """`settings.json`: what of a session and its settings goes along with the files."""

    format: int
    saved_at: int = 0
    title: str = ""
    persona: Persona | None = None
    tools_off: list[str] = msgspec.field(default_factory=list)
    settings: dict[str, Any] = msgspec.field(default_factory=dict)


class LeftOut(Wire, frozen=True, kw_only=True):
    """A file that is not in a snapshot, and why."""

    path: str
    reason: str


class Saved(Wire, frozen=True, kw_only=True):
    """A snapshot as it was saved or loaded: its files, relative to the workspace, and what is not in it."""

    dir: str
    files: list[str]
    left_out: list[LeftOut] = msgspec.field(default_factory=list)
    before: str | None = None
    """Where what was there before a load is kept."""
    session_id: str | None = None


def settings_to_keep(config: Config) -> dict[str, Any]:
    """What a person set outside of the workspace's own files, but no secret, path or address."""
    return {
        key: wire(value)
        for key, value in config.values.items()
        if value.origin.layer in ("flag", "environment", "editor", "snapshot", "home")
        and not TABLE[key].secret
        and TABLE[key].kind not in ("path", "paths", "url")
    }


def known_secrets(config: Config, environ: Mapping[str, str], root: Path) -> list[bytes]:
    """The values that must not be in a snapshot: the key, and what the environment and `.env` call secret."""
    from dotenv import dotenv_values  # noqa: PLC0415 - only to save

    try:
        text = files.read(root / ".env", root, MAX_DOTENV).decode("utf-8", "replace")
    except OSError:
        text = ""
    named = {**environ, **dotenv_values(stream=io.StringIO(text), interpolate=False)}
    found = [value for name, value in named.items() if value and is_secret_name(name)]
    hidden = {part.encode() for value in (*found, *config.secrets) for part in parts(value)}
    return sorted(hidden, key=len, reverse=True)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is a secret."""
    return any(fnmatchcase(name.upper(), one) for one in SECRET_NAMES)


def check_target(target: Path, home: Path, root: Path, state: Path) -> Path:
    """The real path of a folder that a snapshot may be saved to.

    Raises PygentError: `denied` where it would endanger what is there, `conflict` for a folder in use.
    """
    if target.is_symlink():
        raise PygentError("denied", f"{target} is a link.", "Name the folder itself.")
    real = check_root(target, home)
    for place, what in ((root, "the workspace"), (state, "Pygent's own folder")):
        if real == place or place in real.parents or real in place.parents:
            fix = "Name a folder beside it, such as ../snapshot."
            raise PygentError("denied", f"{real} holds {what}, or lies in it.", fix)
    if real.exists() and (not real.is_dir() or not is_snapshot(real)):
        fix = "Name a new folder, or a snapshot to replace."
        raise PygentError("conflict", f"{real} is there already and is no snapshot.", fix)
    return real


def is_snapshot(folder: Path) -> bool:
    """Whether a folder is a snapshot, or empty."""
    names = {entry.name for entry in folder.iterdir()}
    return not names or (names <= {*OWN} and bool(names & {"settings.json", "workspace", "history.json"}))


def save(
    target: Path,
    root: Path,
    *,
    buffers: Mapping[Path, str],
    messages: Sequence[bytes],
    kept: Kept,
    hidden: Sequence[bytes] | None,
    more: Iterable[str] = (),
) -> Saved:
    """Write a snapshot; a crash at any instant leaves the old one or the new one whole.

    `buffers` are unsaved texts, which take the place of their files; `hidden` are the values of
    `known_secrets`, None for a copy that stays with us and may hold them; `more` names files that are taken
    although they are ignored.  Raises PygentError `conflict`.
    """
    place = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        place.mkdir(mode=0o700, parents=True)
        inside = {root / name for name in more if files.is_file(root / name, root)} | set(buffers)
        copied, left_out = _copy_files(root, place / "workspace", inside, buffers, hidden)
        history.write(place / "history.json", [_without(message, hidden or ()) for message in messages])
        text = _without(msgspec.json.format(msgspec.json.encode(kept)), hidden or ())
        write_atomic(place / "settings.json", text, 0o600, root=place)
        _exchange(place, target)
    except OSError as error:
        raise PygentError("conflict", f"{target} can't be saved: {error.strerror}.") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Saved(dir=str(target), files=copied, left_out=left_out)


def _exchange(new: Path, target: Path) -> None:
    """Put a new folder into the place of an old one, which goes."""
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(f"{new.name}.old")
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _copy_files(
    root: Path, target: Path, more: set[Path], buffers: Mapping[Path, str], hidden: Sequence[bytes] | None
) -> tuple[list[str], list[LeftOut]]:
    target.mkdir()
    copied: list[str] = []
    left_out: list[LeftOut] = []
    for path in sorted({*walk(root, root), *more}):
        name = path.relative_to(root).as_posix()
        try:
            data = buffers[path].encode() if path in buffers else files.read(path, root, MAX_FILE)
            status = files.status(path, root)
        except OSError as error:  # a command changes the workspace meanwhile
            left_out.append(LeftOut(path=name, reason=f"it can't be read: {error.strerror}"))
            continue
        if len(data) > MAX_FILE:
            left_out.append(LeftOut(path=name, reason=f"it is larger than {MAX_FILE >> 20} MiB"))
            continue
        if hidden is not None and (reason := _reason(name, data, hidden)) is not None:
            left_out.append(LeftOut(path=name, reason=reason))
            continue
        mode = 0o644 if status is None else stat.S_IMODE(status.st_mode) & 0o777
        files.write_atomic(target / name, data, mode, root=target)
        copied.append(name)
    return copied, left_out


def _reason(name: str, data: bytes, hidden: Sequence[bytes]) -> str | None:
    """Why a file may not be in a snapshot; None if it may."""
    if is_secret(name):
        return "it is a file of secrets"
    if any(secret in data for secret in hidden):
        return "it holds a key or another secret of yours"
    return "it holds a private key" if PRIVATE_KEY.search(data) else None


def _without(data: bytes, hidden: Sequence[bytes]) -> bytes:
    """JSON without the secrets, also where they are escaped."""
    for secret in hidden:
        escaped = msgspec.json.encode(secret.decode("utf-8", "replace"))[1:-1]
        data = data.replace(escaped, MASK).replace(secret, MASK)
    return data


# -- loading ---------------------------------------------------------------------------------------


def check_source(folder: Path) -> Path:
    """The real path of a snapshot's folder.  Raises PygentError `notFound`."""
    if not folder.is_dir() or not any((folder / name).exists() for name in OWN):
        raise PygentError("notFound", f"There is no snapshot in {folder}.", "Name a folder that /save made.")
    return Path(os.path.realpath(folder))


def read(folder: Path) -> tuple[Kept, list[str]]:
    """What a snapshot says of session and settings, and what is wrong with it.

    Of the original's `env.json` only settings are taken, never a key.
    """
    try:
        kept = msgspec.json.decode(files.read(folder / "settings.json", folder, MAX_FILE), type=Kept)
    except FileNotFoundError:
        return _read_original(folder / "env.json")
    except (OSError, msgspec.DecodeError) as error:
        return Kept(format=0), [f"The snapshot's settings can't be read: {error}."]
    if kept.format != FORMAT:
        return Kept(format=0), [f"The snapshot's settings have the unknown format {kept.format}."]
    return msgspec.structs.replace(kept, settings=dict(_known(kept.settings.items()))), []


def _read_original(path: Path) -> tuple[Kept, list[str]]:
    try:
        said = msgspec.json.decode(files.read(path, path.parent, MAX_FILE), type=dict[str, str])
    except FileNotFoundError:
        return Kept(format=FORMAT), []
    except (OSError, msgspec.DecodeError) as error:
        return Kept(format=0), [f"The snapshot's env.json can't be read: {error}."]
    problems = []
    if any(is_secret_name(name) for name in said):
        problems.append(f"{path} holds a key, which is not used; remove it from there.")
    found = ((VARIABLES[name].key, value) for name, value in said.items() if name in VARIABLES and value)
    return Kept(format=FORMAT, settings=dict(_known(found))), problems


def _known(found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for key, value in found:
        if key in TABLE and not TABLE[key].secret and TABLE[key].kind not in ("path", "paths", "url"):
            yield key, value


def copy_in(
    folder: Path, root: Path, *, replace: bool, protected: Collection[str] = ()
) -> tuple[list[str], list[LeftOut]]:
    """Copy a snapshot's files into a workspace; those that were, relative to it, and those that were not.

    What is there already stays, or is replaced.  Left out are links, files of secrets, `.git`, and what is
    protected: it runs programs or changes settings.  Of the latter those in `protected` are taken, which
    the person named.
    Raises PygentError `conflict`.
    """
    copied: list[str] = []
    found, left_out = contents(folder, protected)
    for name, path in found.items():
        target = root / name
        try:
            if not replace and files.status(target, root) is not None:
                continue
            files.copy(path, _source(folder), target, root, MAX_FILE)
        except OSError as error:
            raise PygentError("conflict", f"{name} can't be loaded: {error.strerror}.") from error
        copied.append(name)
    return copied, left_out


def contents(folder: Path, protected: Collection[str] = ()) -> tuple[dict[str, Path], list[LeftOut]]:
    """The files that a snapshot has for the workspace, by their names there, and what is not taken."""
    source = _source(folder)
    own = () if source != folder else OWN
    found: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    waiting = [source]
    while waiting:
        place = waiting.pop()
        for entry in files.entries(place, source):
            path = place / entry
            name, is_folder = path.relative_to(source).as_posix(), files.is_folder(path, source)
            if name.partition("/")[0] in own or not (is_folder or files.is_file(path, source)):
                continue
            if (reason := _kept_out(name, protected)) is not None:
                left_out.append(LeftOut(path=name, reason=reason))
            elif is_folder:
                waiting.append(path)
            else:
                found[name] = path
    return dict(sorted(found.items())), sorted(left_out, key=lambda one: one.path)


def _source(folder: Path) -> Path:
    """Where the files of a snapshot lie: the layout of Pygent 1.0 has no folder of their own for them."""
    return folder / "workspace" if files.is_folder(folder / "workspace", folder) else folder


def _kept_out(name: str, protected: Collection[str]) -> str | None:
    """Why a file or folder of a snapshot may not be loaded; None if it may."""
    if ".git" in name.lower().split("/"):
        return "its hooks and settings run programs"
    if is_secret(name):
        return "it is a file of secrets"
    named = any(f"{one}/".startswith(f"{name}/") or name.startswith(f"{one}/") for one in protected)
    if named or not is_protected(name):
        return None
    return "it is protected, because it can run programs or change settings"


def aside(state: Path) -> Path:
    """Where what a workspace held before a load is kept; the last three are."""
    place = state / "before-load"
    for old in sorted(place.glob("[0-9]*"))[:-2]:
        shutil.rmtree(old, ignore_errors=True)
    return place / str(now_ms())
