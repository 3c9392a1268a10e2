"""Credentials among the tools of this machine, which commands must not read.

Tools keep them beside their programs: npm in the folder of a Node version, pip in a virtual environment, uv
in a folder of its own.  What a tool folder shows is therefore everything but what has a name of this kind, at
any depth.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pygent import files
from pygent.protected import is_secret

SURE = re.compile(
    "|".join(
        [
            r"\.?npmrc",
            r"\.yarnrc(\.yml)?",
            r"\.?pip(\.conf|\.ini|rc)|\.pypirc",
            r"\.git-credentials|\.gitconfig|\.hgrc|\.svn|\.pip",
            r"\.dockercfg|\.docker|\.aws|\.azure|\.gcloud|\.kube|\.ssh|\.gnupg|\.password-store",
            r"\.(pgpass|my\.cnf|htpasswd|boto|s3cfg|vault-token|terraformrc|gem)",
            r"id_(rsa|dsa|ecdsa|ed25519)(_sk)?",
            r"pipx_metadata\.json|uv-receipt\.toml",  # how something was installed, and from which address
        ]
    ),
    re.IGNORECASE,
)
"""Names that are those of credentials wherever they are, beside those that are secret in a workspace."""
STORES = (".kdb", ".kdbx", ".keystore", ".jks", ".p12", ".pfx", ".ppk")
"""Ends of names of key stores, the same."""

LIKELY = re.compile(
    r"\.?(credentials?|creds?|secrets?|tokens?|auth|passwords?|api[-_]?keys?|service[-_]?account)"
    r"(\.(json|toml|ya?ml|ini|cfg|conf|xml|txt|db|lock|enc|key|env))?"
    r"|.*[-_.](credentials?|secrets?|tokens?|passwords?|auth)\.(json|toml|ya?ml|ini|conf|txt)"
    r"|.*[-_.]?(priv(ate)?[-_]?)key\.(pem|key)|.*\.env"
)
"""Names of files that are also those of harmless parts of published packages."""

TELLING = re.compile(rb"://[^/\s]*@|extraheader|password|token|\.helper|\[credential")
"""What in a repository's configuration is, or leads to, a credential; most have none."""

DATA = {
    *[
        "json",
        "toml",
        "yaml",
        "yml",
        "ini",
        "cfg",
        "conf",
        "xml",
        "txt",
        "db",
        "lock",
        "enc",
        "key",
        "env",
        "pem",
    ]
}
"""Extensions of files that hold data: only they can be `LIKELY`."""

PUBLISHED = re.compile(r"site-packages|dist-packages|node_modules|gems|rustlib|python\d[\d.t]*")
"""Folders of packages: only names that are sure count in them, and only near the top, where configuration is
(`node_modules/npm/npmrc`)."""
NEAR = 2
"""Folders that are looked into below one of packages."""
SKIPPED = {"__pycache__", "include", "doc", "docs", "man", "html"}


CONFIGURATION = 1 << 20


FRESH = 300
"""Seconds in which a look counts for other sandboxes of this process: it takes a tenth of a second."""

_seen: dict[tuple[Path, ...], tuple[float, list[Path]]] = {}


def within(folders: Sequence[Path]) -> list[Path]:
    """The files and folders with credentials that lie in the given ones; links to them lead there too."""
    known = _seen.get(key := tuple(folders))
    if known is None or time.monotonic() - known[0] > FRESH:
        known = _seen[key] = (time.monotonic(), _look(key))
    return known[1]


def _look(folders: Sequence[Path]) -> list[Path]:
    roots = [os.path.realpath(folder) for folder in folders]
    inside = tuple(f"{root}/" for root in roots)
    found = {os.path.realpath(path) for root in roots for path in _walk(root)}
    return [Path(path) for path in sorted(found) if path.startswith(inside)]


def _walk(root: str) -> Iterator[str]:
    """Paths of that kind; what can't be opened by us can't be by a command."""
    left: list[tuple[str, int | None]] = [(root, None)]
    while left:
        place, depth = left.pop()
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        for entry in entries:
            folder = entry.is_dir(follow_symlinks=False)
            if _is_one(entry.name, sure=folder or depth is not None):
                yield entry.path
            elif folder and entry.name == ".git":
                if _tells(entry.path):
                    yield entry.path
            elif folder and entry.name not in SKIPPED and depth != 0:
                left.append((entry.path, _deeper(entry.name, depth)))


def _is_one(name: str, *, sure: bool) -> bool:
    if SURE.fullmatch(name) or name.endswith(STORES) or is_secret(name):
        return True
    if sure:
        return False
    _, dot, extension = name.lstrip(".").rpartition(".")
    return (not dot or extension in DATA) and LIKELY.fullmatch(name) is not None


def _deeper(name: str, depth: int | None) -> int | None:
    """How many folders are looked into below one of a name; None for all."""
    if PUBLISHED.fullmatch(name):
        return NEAR
    return None if depth is None else depth - 1


def _tells(repository: str) -> bool:
    """Whether a repository holds credentials: those of a clone are in its address or beside it."""
    try:
        if any(LIKELY.fullmatch(entry.name) for entry in Path(repository).iterdir()):
            return True
        return TELLING.search(files.read_chosen(Path(repository, "config"), CONFIGURATION)) is not None
    except FileNotFoundError:
        return False
    except OSError:
        return True
