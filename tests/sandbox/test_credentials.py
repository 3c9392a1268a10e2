"""No credential that a tool keeps beside its programs is to be read by a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sandbox.world import SECRET, make

from pygent.sandbox import credentials, host

PLACES = (
    ".pyenv/versions/3.12.1",
    ".pyenv/plugins/some",
    ".nvm",
    ".nvm/versions/node/v20.1.0/etc",
    ".cargo",
    ".cargo/bin",
    ".rustup/toolchains/stable/etc",
    ".local/bin",
    ".local/share/uv/credentials",
    ".local/share/uv/tools/ruff",
    ".local/share/pipx/venvs/black",
    ".local/share/pipx",
    ".volta",
    ".volta/tools/user/platform",
    ".asdf/installs/nodejs/20.1.0",
    ".asdf/plugins/ruby",
)
NAMES = (
    *(
        ".npmrc",
        "npmrc",
        ".netrc",
        ".pypirc",
        "pip.conf",
        ".env",
        ".env.local",
        "prod.env",
        ".git-credentials",
    ),
    *(
        "credentials",
        "credentials.toml",
        "credentials.json",
        "auth.json",
        ".yarnrc.yml",
        "token",
        "secrets.yaml",
    ),
    *("id_ed25519", "deploy-private-key.pem", "store.p12", "pipx_metadata.json", "uv-receipt.toml"),
    *(".docker/config.json", ".aws/config", ".ssh/known", "github_token.txt"),
)


def plant(home: Path) -> int:
    """Credentials of every name in every place, and a harmless file beside them; returns how many places."""
    for place in PLACES:
        for name in NAMES:
            path = home / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET)
        (home / place / "program.py").write_text("harmless")
        repository = home / place / ".git"
        repository.mkdir()
        (repository / "config").write_text(f"[remote]\n\turl = https://me:{SECRET}@example.org/x\n")
    (home / ".asdf/plugins/ruby/other-name").symlink_to(home / ".asdf/plugins/ruby/.netrc")
    (home / ".asdf/plugins/ruby/.pgpass").symlink_to(home / ".asdf/plugins/ruby/behind-a-link")
    (home / ".asdf/plugins/ruby/behind-a-link").write_text(SECRET)
    builtin = home / ".nvm/versions/node/v20.1.0/lib/node_modules/npm/npmrc"
    builtin.parent.mkdir(parents=True)
    builtin.write_text(SECRET)
    return len([place for place in PLACES if any(place.startswith(tool) for tool in host.TOOLCHAINS)])


async def test_nothing_that_tools_keep_is_read(kind: str, workspace: Path, state: Path, home: Path) -> None:
    shown = plant(home)
    (workspace / "list").write_text(
        "".join(f"{path}\n" for path in sorted(home.rglob("*")) if path.is_file())
    )
    sandbox = await make(kind, workspace, state)
    found = await sandbox.run(f"xargs grep -ls {SECRET} < list", timeout=60)
    seen = await sandbox.run("xargs grep -ls harmless < list | wc -l", timeout=60)
    await sandbox.close()
    if kind == "local":
        assert len(found.output.splitlines()) > len(PLACES) * len(NAMES)
        return
    assert found.output == ""
    assert seen.output == (f"{shown}\n" if kind != "docker" else "0\n")


@pytest.mark.parametrize("kind", ["bubblewrap"], indirect=True)
async def test_what_is_published_stays_readable(kind: str, workspace: Path, state: Path, home: Path) -> None:
    package = home / ".pyenv/versions/3.12.1/lib/python3.12/site-packages/boto/auth"
    package.mkdir(parents=True)
    (package / "credentials.py").write_text("works = 1")
    (package / "token.json").write_text("{}")
    clone = home / ".pyenv/.git"
    clone.mkdir()
    (clone / "config").write_text("[remote]\n\turl = https://example.org/pyenv\n")
    sandbox = await make(kind, workspace, state)
    done = await sandbox.run(f"cat {package}/* {clone}/config")
    await sandbox.close()
    assert done.output == "works = 1{}[remote]\n\turl = https://example.org/pyenv\n"
    assert credentials.within([home / ".pyenv"]) == []
