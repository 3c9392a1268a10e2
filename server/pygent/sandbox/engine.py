"""The Docker engine: finding it, its images, and what its refusals mean.

The only module that imports the docker SDK, which blocks and is heavy: it is imported late, and everything
here is called in threads.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pygent.errors import SandboxUnavailable
from pygent.sandbox import Report, container
from pygent.sandbox.owner import abandoned

SOCKETS = (
    "/var/run/docker.sock",
    "{runtime}/docker.sock",
    "{home}/.docker/run/docker.sock",
    "{home}/.docker/desktop/docker.sock",
    "{home}/.colima/default/docker.sock",
    "{runtime}/podman/podman.sock",
    "/run/podman/podman.sock",
)
"""Where engines listen when DOCKER_HOST says nothing: Docker, rootless Docker, Docker Desktop, Colima, and
Podman's service, which speaks the same language."""

PACE = 0.5
"""Seconds between two words on a pull."""
FIX_IMAGE = "Set PYGENT_IMAGE to an image that is there, pull it by hand, or set PYGENT_USE_DOCKER=0."


def address(environ: Mapping[str, str]) -> str:
    """Where the engine is looked for, as DOCKER_HOST has it."""
    if environ.get("DOCKER_HOST"):
        return environ["DOCKER_HOST"]
    places = {"home": environ.get("HOME", ""), "runtime": environ.get("XDG_RUNTIME_DIR", "")}
    found = [socket.format(**places) for socket in SOCKETS]
    return "unix://" + next((socket for socket in found if Path(socket).is_socket()), found[0])


def remote(environ: Mapping[str, str]) -> bool:
    """Whether the engine may run on another machine, which does not see our files."""
    return urlsplit(address(environ)).scheme not in ("unix", "npipe")


def connect(environ: Mapping[str, str], timeout: int = 60) -> Any:
    """A client of an engine that answers.  Raises SandboxUnavailable naming what is wrong."""
    try:
        import docker  # noqa: PLC0415 - heavy
        import docker.errors  # noqa: PLC0415
    except ImportError as error:
        raise SandboxUnavailable("The Python package docker is missing.", "pip install docker") from error
    where = address(environ)
    try:
        client = docker.from_env(timeout=timeout, environment={**environ, "DOCKER_HOST": where})
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxUnavailable(*_unreachable(str(error), where)) from error
    return client


@contextlib.contextmanager
def explained(image: str, root: Path) -> Iterator[None]:
    """Turn what the engine refuses into a sentence.  Raises SandboxUnavailable."""
    import docker.errors  # noqa: PLC0415 - heavy

    try:
        yield
    except docker.errors.APIError as error:
        raise SandboxUnavailable(*_explain(str(error.explanation or error), image, root)) from error
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxUnavailable(f"Docker failed: {error}.", "Look at the engine's log.") from error


class Stop(threading.Event):
    """Tells a thread to end; `also` are called, to end what the thread waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.also: list[Callable[[], None]] = []

    def set(self) -> None:
        """Tell it, from any thread."""
        super().set()
        for end in self.also:
            end()


def have_image(client: Any, image: str, report: Report, stop: Stop) -> None:
    """Pull the image if it is missing, with words on how far that is; `stop` ends it.

    Raises SandboxUnavailable.
    """
    import docker.errors  # noqa: PLC0415 - heavy

    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.get(image)
        return
    report(f"Pulling the image {image} …")
    began, said = time.monotonic(), time.monotonic()
    progress = _Progress()
    try:
        for line in _pulling(client, image, stop):
            if "error" in line:
                raise SandboxUnavailable(*_pull_failed(image, line["error"]))
            progress.take(line)
            if time.monotonic() - said >= PACE:
                said = time.monotonic()
                report(f"Pulling the image {image}: {progress}")
    except docker.errors.NotFound as error:
        raise SandboxUnavailable(f"There is no image {image} to pull.", FIX_IMAGE) from error
    except docker.errors.APIError as error:
        raise SandboxUnavailable(*_pull_failed(image, str(error.explanation or error))) from error
    if stop.is_set():
        raise SandboxUnavailable(f"Pulling the image {image} was cancelled.")
    report(f"Pulled the image {image} in {time.monotonic() - began:.0f} s.")


def _pulling(client: Any, image: str, stop: Stop) -> Iterator[Mapping[str, Any]]:
    """What the engine says of a pull, until that ends.

    The engine gives up a pull whose client has gone, so `stop` closes the connection, also while nothing is
    said on it because a registry has fallen silent.
    """
    from docker.errors import DockerException  # noqa: PLC0415 - heavy
    from docker.types import CancellableStream  # noqa: PLC0415

    answers: list[Any] = []
    client.api.hooks["response"].append(lambda answer, **_: answers.append(answer))
    stream = CancellableStream(client.api.pull(image, stream=True, decode=True), answers[-1])

    def end() -> None:
        with contextlib.suppress(DockerException, OSError, AttributeError):  # over SSH it can't be closed
            stream.close()

    stop.also.append(end)
    try:
        while not stop.is_set() and (line := next(stream, None)) is not None:
            yield line
    finally:
        end()


def has_image(image: str, environ: Mapping[str, str]) -> bool:
    """Whether an engine answers and has the image, so that nothing needs to be pulled."""
    try:
        client = connect(environ, 2)
    except SandboxUnavailable:
        return False
    import docker.errors  # noqa: PLC0415 - heavy

    try:
        client.images.get(image)
    except docker.errors.APIError:
        return False
    finally:
        client.close()
    return True


def images(environ: Mapping[str, str]) -> list[str]:
    """The names of the images that the engine has.  Raises SandboxUnavailable."""
    client = connect(environ, 5)
    import docker.errors  # noqa: PLC0415 - heavy

    try:
        return sorted({tag for image in client.api.images() for tag in image.get("RepoTags") or ()})
    except docker.errors.DockerException as error:
        raise SandboxUnavailable(f"Docker failed: {error}.", "Look at the engine's log.") from error
    finally:
        client.close()


def enforced(info: Mapping[str, Any]) -> list[str]:
    """Those limits that an engine can put in force, of what it says of itself (`GET /info`).

    Rootless Docker without delegated control groups discards them with no more than a warning
    (docs.docker.com, "Rootless mode: Limiting resources").
    """
    needed = {"memory": "MemoryLimit", "cpus": "CpuCfsQuota", "processes": "PidsLimit"}
    return [name for name, key in needed.items() if info.get(key)] + ["fileSize", "disk"]


def rootless(info: Mapping[str, Any]) -> bool:
    """Whether the engine runs without root, and maps the person to root inside."""
    return any("rootless" in option for option in info.get("SecurityOptions") or [])


def reap(client: Any) -> None:
    """Remove the containers of servers that died, and nobody else's."""
    import docker.errors  # noqa: PLC0415 - heavy

    for found in client.api.containers(all=True, filters={"label": f"{container.LABEL}=1"}):
        if abandoned(found["Labels"].get(container.OWNER, "")):
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_container(found["Id"], force=True)


def remove(made: Any) -> None:
    """Remove a container with everything in it, if it is still there."""
    import docker.errors  # noqa: PLC0415 - heavy

    with contextlib.suppress(docker.errors.DockerException, OSError):
        made.remove(force=True)


class _Progress:
    """How far a pull is, over all layers."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._extracting = False

    def take(self, line: Mapping[str, Any]) -> None:
        """Take in a line of the engine's stream."""
        layer, status, detail = line.get("id", ""), line.get("status", ""), line.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._layers[layer] = (detail.get("current", 0), detail["total"])
        elif status in ("Download complete", "Pull complete") and layer in self._layers:
            self._layers[layer] = (self._layers[layer][1],) * 2
        self._extracting = status in ("Extracting", "Pull complete")

    def __str__(self) -> str:
        """Megabytes of those that are known of."""
        here, total = (sum(layer[which] for layer in self._layers.values()) for which in (0, 1))
        doing = "unpacking, " if self._extracting else ""
        return f"{doing}{here / 1e6:.1f} of {total / 1e6:.1f} MB"


def _unreachable(said: str, where: str) -> tuple[str, str]:
    if "Permission denied" in said:
        return f"There are no rights on Docker's socket {where}.", "Join the group docker and log in again."
    if "No such file" in said or "FileNotFoundError" in said:
        return (
            f"Docker is not installed or not running: there is no socket {where}.",
            "Install or start Docker.",
        )
    if "Connection refused" in said:
        return f"Docker's daemon is down: nothing answers on {where}.", "Start Docker."
    return f"Docker does not answer on {where}: {said[:200]}.", "Start Docker, or check DOCKER_HOST."


def _explain(said: str, image: str, root: Path) -> tuple[str, str | None]:
    if "no space left" in said:
        return "Docker has no disk space left.", "docker system prune"
    if "bind source path does not exist" in said:
        return (
            f"The Docker engine does not see {root}: it runs on another machine, or in one of its own.",
            "Use an engine on this machine, share the folder with it, or set PYGENT_USE_DOCKER=0.",
        )
    if "mounting " in said:  # something that is to be mounted was replaced meanwhile
        return f"Docker could not mount what is in {root}: {said[:300]}.", "Try again."
    if "executable file not found" in said or "no such file or directory: unknown" in said:
        return f"The image {image} has no shell.", "Set PYGENT_IMAGE to an image that has one."
    return f"Docker refused the container: {said[:300]}.", None


def _pull_failed(image: str, said: str) -> tuple[str, str]:
    if "no space left" in said:
        return f"There is no disk space left to pull the image {image}.", "docker system prune"
    if "not found" in said or "manifest unknown" in said or "does not exist" in said:
        return f"There is no image {image} to pull: {said[:200]}.", FIX_IMAGE
    return f"The image {image} can't be pulled: {said[:300]}.", FIX_IMAGE
