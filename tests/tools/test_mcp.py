"""Tools of MCP servers: real programs and a real address, those that misbehave among them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.types import Tool as McpTool
from tests.story import KEY, Person, call, story

from pygent import doctor
from pygent.config.settings import McpServer
from pygent.errors import ToolError
from pygent.events import Notice, ToolFinished
from pygent.records import Decision
from pygent.replay import Reply
from pygent.tools.mcp import McpServers, _name, _offers
from pygent.tools.mcp_connection import Connection
from pygent.tools.mcp_words import schema

SERVER = '''
import asyncio, os, sys
from pathlib import Path
from typing import Annotated
from pydantic import Field
from mcp.server.mcpserver import Context, Image, MCPServer

server = MCPServer("tracker")
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de")

@server.tool()
def ticket(number: int) -> str:
    """Look up a ticket of the tracker."""
    return f"ticket {number}: open"

@server.tool()
def surroundings() -> str:
    """Tell what surrounds the server."""
    return "\\n".join([os.getcwd(), str(os.getpid()), *(f"{name}={value}" for name, value in os.environ.items())])

@server.tool()
def who(context: Context) -> str:
    """Tell who asks."""
    return context.request_context.request.headers["authorization"]

@server.tool()
def picture() -> Image:
    """Show a picture."""
    return Image(data=PNG, format="png")

@server.tool()
def much() -> str:
    """Say much, and colour it."""
    return "\\x1b[31mred\\x1b[0m" + "x" * 100_000

@server.tool()
def broken() -> str:
    """Fail."""
    raise ValueError("it is broken")

@server.tool()
async def slow(mark: str) -> str:
    """Take an hour."""
    try:
        Path(mark).write_text("began")
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        Path(mark).write_text("cancelled")
        raise

@server.tool()
def die() -> str:
    """End the server."""
    print("out of memory", file=sys.stderr, flush=True)
    os._exit(3)

if sys.argv[1:]:
    server.run("streamable-http", port=int(sys.argv[1]))
else:
    server.run("stdio")
'''


ODD = """
@server.tool(description="Book \u202ea\u200b room.\U000e0041 " + "x" * 10_000)
def book(room: Annotated[str, Field(description="Its\u2066 name. " + "y" * 10_000)]) -> str:
    return "booked \u200b" + room

@server.tool(name="hid\u200bden")
def hidden() -> str:
    return ""

"""
"""Tools with words that hide or swell."""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tracker.py"
    path.write_text(SERVER)
    return path


def tracker(program: Path, **fields: object) -> dict[str, object]:
    return {"tracker": {"command": sys.executable, "args": [str(program)], "confirm": False, **fields}}


def connection(command: str, *args: str, timeout: float = 30, cwd: Path | None = None) -> Connection:
    server = McpServer(command=command, args=args, timeout=timeout)
    return Connection("odd", server, {"PATH": os.environ["PATH"]}, cwd or Path("/"))


@contextlib.asynccontextmanager
async def address(program: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The same server at an address, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(port), stdout=quiet, stderr=quiet
    )
    try:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_turn_calls_the_tools_of_a_server(workspace: Path, program: Path) -> None:
    replies = [call("mcp__tracker__ticket", number=7), Reply(text="It is open.")]
    person = Person(Decision(decision="acceptForSession"))
    async with story(workspace, *replies, person=person, mcp_servers=tracker(program, confirm=True)) as one:
        result = await one.app.sessions.new(one.folder).chat("what about 7?")
        assert result.reply == "It is open."
        assert one.last_result() == "ticket 7: open"
        (approval,) = person.approvals
        assert (approval.kind, approval.title) == ("tool", "Call ticket of the MCP server tracker")
        assert approval.detail == "ticket(number=7)"
        (offered,) = [
            tool["function"]
            for tool in one.server.requests[0]["tools"]
            if tool["function"]["name"] == "mcp__tracker__ticket"
        ]
        assert offered["description"] == "Look up a ticket of the tracker."
        assert offered["parameters"]["properties"]["number"]["type"] == "integer"
        sources = {tool.source for tool in one.folder.tools().values()}
        assert sources == {"built-in", "MCP server tracker"}


async def test_what_a_server_says_of_its_tools_is_seen_and_has_an_end(workspace: Path, program: Path) -> None:
    replies = [call("mcp__tracker__book", room="a\u200bb"), Reply(text="Booked.")]
    person = Person(Decision(decision="accept"))
    program.write_text(SERVER.replace("if sys.argv[1:]", f"{ODD}if sys.argv[1:]"))
    async with story(workspace, *replies, person=person, mcp_servers=tracker(program, confirm=True)) as one:
        await one.app.sessions.new(one.folder).chat("book it")
        offered = {tool["function"]["name"]: tool["function"] for tool in one.server.requests[0]["tools"]}
        book = offered["mcp__tracker__book"]
        assert book["description"].startswith("Book \\u{202e}a\\u{200b} room.\\u{e0041} xxx")
        assert book["description"].endswith(" more characters were cut]")
        told = book["parameters"]["properties"]["room"]["description"]
        assert told.startswith("Its\\u{2066} name. yyy")
        assert len(book["description"]) < 2100 and len(told) < 2100
        assert not [name for name in offered if "hid" in name]
        (left_out,) = [notice.text for notice in person.of(Notice) if "hid" in notice.text]
        assert "hid\\u{200b}den of tracker is left out" in left_out
        assert one.last_result().startswith("booked \\u{200b}a\\u{200b}b")
        (approval,) = person.approvals
        assert (approval.isolation, approval.detail) == ("local", "book(room='a\\u200bb')")


SCHEMAS: dict[str, tuple[Any, str]] = {
    "a hidden name": ({"properties": {"a\u200b": {"type": "string"}}}, "can't be shown as it is"),
    "a deep one": (functools.reduce(lambda inner, _: {"items": inner}, range(500), {}), "levels"),
    "a large one": ({"enum": ["x" * 1000] * 100}, "bytes"),
}


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_schema_that_hides_or_swells_is_left_out(case: str) -> None:
    schema, why = SCHEMAS[case]
    tools = [
        McpTool(name="good", input_schema={"type": "object"}),
        McpTool(name="bad", input_schema=schema),
    ]
    offered, (told,) = _offers(connection("true"), tools)
    assert list(offered) == ["mcp__odd__good"]
    assert told.startswith("bad of odd is left out: ") and why in told


def test_values_of_a_schema_stay_as_they_are_but_for_what_is_hidden() -> None:
    given = {
        "properties": {"a": {"enum": ["b  c", "d\u200b"], "pattern": "\\\\u{1F600}+\\n"}},
        "type": "array",
    }
    assert schema(given) == {
        "type": "object",
        "properties": {"a": {"enum": ["b  c", "d\\u{200b}"], "pattern": "\\\\u{1F600}+\\n"}},
    }


async def test_a_server_gets_no_secret_and_ends_with_the_folder(workspace: Path, program: Path) -> None:
    replies = [call("mcp__tracker__surroundings"), Reply(text="Done.")]
    os.environ["TRACKER_TOKEN"] = "token-of-the-tracker"
    try:
        servers = tracker(program, env=["TRACKER_TOKEN", "NOT_THERE"])
        async with story(workspace, *replies, mcp_servers=servers) as one:
            await one.app.sessions.new(one.folder).chat("go")
            cwd, pid, *variables = one.last_result().splitlines()
    finally:
        del os.environ["TRACKER_TOKEN"]
    assert cwd == str(workspace)
    assert "TRACKER_TOKEN=token-of-the-tracker" in variables
    names = {line.partition("=")[0] for line in variables}
    assert KEY not in "\n".join(variables) and not {"OPENAI_API_KEY", "NOT_THERE"} & names
    assert not Path(f"/proc/{pid}").exists()


async def test_failures_images_and_long_answers_are_told(workspace: Path, program: Path) -> None:
    names = ("broken", "much", "picture", "nothing")
    replies = [*(call(f"mcp__tracker__{name}") for name in names), Reply(text="Done.")]
    async with story(workspace, *replies, mcp_servers=tracker(program)) as one:
        await one.app.sessions.new(one.folder).chat("go")
        failed, long, shown, unknown = one.person.of(ToolFinished)
        assert failed.status == "failed" and "broken" in failed.output
        assert long.truncated and long.output.startswith("redxxx") and len(long.output) < 40_000
        assert shown.status == "completed" and shown.image is not None
        assert unknown.status == "failed" and "mcp__tracker__nothing" in unknown.output
        *_, shown_to_model = one.server.requests[3]["messages"]
        assert shown_to_model["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


async def test_only_the_wanted_tools_are_offered(workspace: Path, program: Path) -> None:
    servers = tracker(program, tools=["ticket", "lost"])
    async with story(workspace, Reply(text="Done."), mcp_servers=servers) as one:
        await one.app.sessions.new(one.folder).chat("go")
        offered = {tool["function"]["name"] for tool in one.server.requests[0]["tools"]}
        assert {name for name in offered if name.startswith("mcp__")} == {"mcp__tracker__ticket"}
        assert "The MCP server tracker has no tool 'lost'." in [told.text for told in one.person.of(Notice)]


async def test_a_server_that_died_is_told_and_started_again(workspace: Path, program: Path) -> None:
    replies = [call("mcp__tracker__die"), call("mcp__tracker__ticket", number=1), Reply(text="Done.")]
    async with story(workspace, *replies, mcp_servers=tracker(program)) as one:
        assert (await one.app.sessions.new(one.folder).chat("go")).status == "completed"
        died, again = one.person.of(ToolFinished)
        assert died.status == "failed" and "The MCP server tracker" in died.output
        assert again.output == "ticket 1: open"


async def test_cancelling_the_turn_cancels_the_call(workspace: Path, program: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    replies = [call("mcp__tracker__slow", mark=str(mark)), Reply(text="Done.")]
    async with story(workspace, *replies, mcp_servers=tracker(program)) as one:
        session = one.app.sessions.new(one.folder)
        session.start("go")
        await until(lambda: mark.exists() and mark.read_text() == "began")
        assert await session.cancel()
        assert one.person.of(ToolFinished)[0].status == "cancelled"
        await until(lambda: mark.read_text() == "cancelled")


async def test_an_untrusted_folder_starts_nothing(workspace: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f'[mcp_servers.evil]\ncommand = "touch"\nargs = ["{mark}"]\n'
    (workspace / "pygent.toml").write_text(text)
    async with story(workspace, Reply(text="Done.")) as one:
        await one.app.sessions.new(one.folder).chat("go")
        assert not mark.exists()
        assert any("mcp_servers" in problem.message for problem in one.folder.config.diagnostics)
        one.folder.set_trust(True)
        await one.folder.load_tools()
    assert mark.exists()


async def test_a_program_that_has_changed_is_not_started(workspace: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (workspace / "serve.sh").write_text("exit 0\n")
    (workspace / "pygent.toml").write_text('[mcp_servers.own]\ncommand = "sh"\nargs = ["serve.sh"]\n')
    async with story(workspace, Reply(text="Done.")) as one:
        one.folder.set_trust(True)
        (workspace / "serve.sh").write_text(f"touch {mark}\n")
        await one.folder.load_tools()  # what a turn looks at first has not been looked at
        assert not mark.exists()
        assert any("serve.sh changed since you trusted it" in problem for problem in one.folder.problems)
        one.folder.set_trust(True)
    async with story(workspace, Reply(text="Done.")) as one:
        await one.folder.load_tools()
    assert mark.exists()


async def test_changed_settings_end_and_start_servers(workspace: Path, program: Path) -> None:
    servers = McpServers(dict(os.environ), workspace)
    first = McpServer(command=sys.executable, args=(str(program),))
    other = McpServer(command=sys.executable, args=(str(program),), tools=("ticket",))
    try:
        assert await servers.load({"a": first}) == []
        kept = servers.tools
        assert await servers.load({"a": first, "b": other}) == []
        assert servers.tools.keys() - kept.keys() == {"mcp__b__ticket"}
        assert all(servers.tools[name] is tool for name, tool in kept.items())
        assert await servers.load({"a": other}) == []
        assert servers.tools.keys() == {"mcp__a__ticket"}
    finally:
        await servers.close()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("pygent-no-such-program",), "No such file"),
        (("sh", "-c", "echo 'no licence' >&2; exit 1"), r"no licence"),
        (("cat",), "did not start"),
        (("sh", "-c", "echo not json; exit 0"), "did not start"),
    ],
)
async def test_what_is_no_server_is_told(command: tuple[str, ...], told: str) -> None:
    one = connection(*command, timeout=3)
    with pytest.raises(ToolError, match=told):
        await one.tools()
    await one.close()


async def test_one_that_floods_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygent.tools.mcp_connection.START", 2.0)
    one = connection("yes")
    with pytest.raises(ToolError, match="did not start"):
        await one.tools()
    await one.close()


async def test_a_server_that_did_not_start_is_told_once_and_the_turn_goes_on(workspace: Path) -> None:
    servers = {"gone": {"command": "pygent-no-such-program"}}
    async with story(workspace, Reply(text="One."), Reply(text="Two."), mcp_servers=servers) as one:
        session = one.app.sessions.new(one.folder)
        assert (await session.chat("go")).status == "completed"
        assert (await session.chat("go")).reply == "Two."
        told = [notice.text for notice in one.person.of(Notice) if "MCP" in notice.text]
        assert len(told) == 1 and told[0].startswith("The MCP server gone did not start")


async def test_a_start_that_was_cancelled_is_tried_again(workspace: Path, program: Path) -> None:
    servers = McpServers(dict(os.environ), workspace)
    wanted = {"a": McpServer(command=sys.executable, args=(str(program),))}
    starting = asyncio.create_task(servers.load(wanted))
    await until(lambda: "a" in servers._connections)
    starting.cancel()
    await asyncio.wait({starting})
    try:
        assert await servers.load(wanted) == []
        assert "mcp__a__ticket" in servers.tools
    finally:
        await servers.close()


async def test_the_doctor_starts_the_servers(workspace: Path, program: Path) -> None:
    servers = tracker(program, tools=["ticket"]) | {"gone": {"command": "pygent-no-such-program"}}
    async with story(workspace, Reply(text="Done."), mcp_servers=servers) as one:
        for _ in range(2):
            (found,) = [check for check in await doctor.check(one.app, one.folder) if check.id == "tools"]
            assert found.status == "warn" and "The MCP server gone did not start" in found.message
        one.app.launch.flags["mcp_servers"] = tracker(program, tools=["ticket"])
        one.folder.reload()
        (found,) = [check for check in await doctor.check(one.app, one.folder) if check.id == "tools"]
        assert found.message == "Tools of your own: mcp__tracker__ticket"


async def test_a_call_takes_no_longer_than_its_settings_say(program: Path, tmp_path: Path) -> None:
    one = connection(sys.executable, str(program), timeout=2)
    try:
        with pytest.raises(ToolError, match="The MCP server odd failed"):
            await one.call("slow", {"mark": str(tmp_path / "mark")})
        assert (await one.call("ticket", {"number": 1})).is_error is False
    finally:
        await one.close()


async def test_an_address_gets_the_token_and_its_death_ends_no_turn(workspace: Path, program: Path) -> None:
    async with address(program) as (url, process):
        servers = McpServers({"TOKEN": "t"}, workspace)
        assert await servers.load({"web": McpServer(url=url, token_variable="TOKEN", confirm=False)}) == []
        connection = servers._connections["web"]
        (said,) = (await connection.call("who", {})).content
        assert said.text == "Bearer t"  # type: ignore[union-attr]
        process.send_signal(signal.SIGKILL)
        await process.wait()
        for _ in range(2):
            with pytest.raises(ToolError, match="The MCP server web"):
                await connection.call("ticket", {"number": 2})
        await servers.close()


def test_names_are_such_as_every_api_takes() -> None:
    assert _name("tracker", "ticket") == "mcp__tracker__ticket"
    odd, other = _name("a.b", "look up"), _name("a_b", "look up")
    assert odd != other and odd.replace("_", "").isalnum()
    long = _name("server", "x" * 100)
    assert len(long) == 64 and long != _name("server", "x" * 101)


async def until(holds: object) -> None:
    for _ in range(600):
        if holds():  # type: ignore[operator]
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to be")
