"""The environment of commands: an allow-list, so that no secret of the server's own reaches them."""

from __future__ import annotations

from pygent.records import Isolation
from pygent.sandbox.profile import Profile

KEPT = ("PATH", "LANG", "LANGUAGE", "TZ")

QUIET = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CI": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "EDITOR": "true",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "NPM_CONFIG_AUDIT": "false",
    "DEBIAN_FRONTEND": "noninteractive",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
}
"""No pagers, editors, colours or questions: there is nobody at the command's terminal."""

OFFLINE = {
    "PIP_RETRIES": "0",
    "NPM_CONFIG_OFFLINE": "true",
    "NPM_CONFIG_FETCH_RETRIES": "0",
    "UV_OFFLINE": "1",
    "CARGO_NET_OFFLINE": "true",
    "GOPROXY": "off",
}
"""Without a network `pip` takes eight seconds and `npm` a minute to give up, unless they are told."""


def environment(profile: Profile, kind: Isolation) -> dict[str, str]:
    """What a command sees, but for HOME and the like, which depend on the sandbox.

    Of the server's own environment only PATH and the locale are taken over, and in Docker not even those;
    `sandbox.env` may name more.
    """
    own: dict[str, str] = {}
    if kind != "docker":
        own = {name: value for name in KEPT if (value := profile.environ.get(name))}
        own |= {name: value for name, value in profile.environ.items() if name.startswith("LC_")}
    own.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    own.setdefault("LANG", "C.UTF-8")
    offline = {} if profile.limits.network or kind == "local" else OFFLINE
    shell = {"SHELL": "/bin/bash", "PYGENT_SANDBOX": kind}
    return {**own, **QUIET, **offline, **shell, **profile.variables()}
