"""Tools of the person's own: described, checked, run, asked for, and loaded only where somebody trusted."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.story import Person, call, story

from pygent.equipment import Custom
from pygent.errors import ToolError
from pygent.events import Notice, ToolFinished
from pygent.records import Decision
from pygent.replay import Reply
from pygent.tools import user
from pygent.tools.runtime import Runtime

SHOUT = '''
from pygent.tools.user import tool

@tool
def shout(rt, text: str, times: int = 1) -> str:
    """Say it loudly."""
    rt.write_file("said.txt", text)
    return " ".join([rt.bash("cat said.txt").splitlines()[1].upper()] * times)
'''


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    user.reset_tools()
    yield
    user.reset_tools()


def settings(workspace: Path, text: str, module: str = SHOUT) -> None:
    (workspace / "my_tools.py").write_text(module)
    (workspace / "pygent.toml").write_text(text)


def test_a_function_describes_itself() -> None:
    def add_up(rt: Runtime, numbers: list[int], sign: str = "+") -> int:
        """Add up numbers."""
        return sum(numbers)

    tool = user.of_function(add_up)
    assert (tool.name, tool.description) == ("add_up", "Add up numbers.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "numbers": {"type": "array", "items": {"type": "integer"}},
            "sign": {"type": "string"},
        },
        "required": ["numbers"],
    }
    with pytest.raises(ToolError, match=r"Wrong arguments of add_up.*numbers"):
        tool.bind({"sign": "-"})
    with pytest.raises(ToolError, match="Wrong arguments of add_up"):
        tool.bind({"numbers": [1], "other": 1})


def test_what_cant_be_described_is_refused() -> None:
    def anything(*things: str) -> str:
        return ""

    with pytest.raises(ValueError, match="things can't be described"):
        user.of_function(anything)


def test_the_register_is_as_in_pygent_1() -> None:
    user.register_tool("hello", "Greet", {"type": "object", "properties": {}}, lambda rt: "hi")
    with pytest.raises(ValueError, match="already registered"):
        user.register_tool("hello", "Greet", {}, lambda rt: "hi")
    with pytest.raises(ValueError, match="already registered"):
        user.register_tool("bash", "Shell", {}, lambda rt: "hi")
    assert {"hello", "bash"} <= user.of_program().keys()
    user.remove_tool("bash")
    with pytest.raises(ValueError, match="not registered"):
        user.remove_tool("bash")
    assert "bash" not in user.of_program()
    user.clear_tools()
    assert user.of_program() == {}
    user.reset_tools()
    assert "bash" in user.of_program() and "hello" not in user.of_program()


async def test_a_module_of_a_trusted_folder_is_asked_for_and_run(workspace: Path) -> None:
    settings(workspace, '[[tools]]\nmodule = "my_tools.py"\n')
    person = Person(Decision(decision="accept"))
    replies = [call("shout", text="hey", times=2), Reply(text="Done.")]
    async with story(workspace, *replies, person=person) as one:
        one.folder.set_trust(True)
        result = await one.app.sessions.new(one.folder).chat("shout")
        assert result.reply == "Done."
        assert one.last_result() == "HEY HEY"
        (approval,) = person.approvals
        assert (approval.kind, approval.title) == ("tool", "Call shout")
        assert "text='hey'" in approval.detail
        offered = {tool["function"]["name"] for tool in one.server.requests[0]["tools"]}
        assert {"shout", "bash"} <= offered
    assert (workspace / "said.txt").read_text() == "hey"


async def test_a_module_may_be_said_to_need_no_question(workspace: Path) -> None:
    settings(workspace, '[[tools]]\nmodule = "my_tools"\nconfirm = false\n')
    async with story(workspace, call("shout", text="a"), Reply(text="Done.")) as one:
        one.folder.set_trust(True)
        await one.app.sessions.new(one.folder).chat("shout")
        assert one.last_result() == "A"
        assert one.person.approvals == []


async def test_an_untrusted_folder_loads_nothing(workspace: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    settings(workspace, '[[tools]]\nmodule = "my_tools.py"\n', f"open({str(mark)!r}, 'w')")
    async with story(workspace, Reply(text="Done.")) as one:
        session = one.app.sessions.new(one.folder)
        await session.chat("go")
        assert not mark.exists()
        assert any("tools" in problem.message for problem in one.folder.config.diagnostics)
        one.folder.set_trust(True)
        await one.folder.load_tools()
    assert mark.exists()


async def test_a_broken_module_is_told_and_the_turn_goes_on(workspace: Path) -> None:
    settings(workspace, '[[tools]]\nmodule = "my_tools.py"\n', "raise SystemExit('no')")
    async with story(workspace, Reply(text="Done.")) as one:
        one.folder.set_trust(True)
        assert (await one.app.sessions.new(one.folder).chat("go")).status == "completed"
        told = [notice.text for notice in one.person.of(Notice)]
        assert "The tools of my_tools.py can't be loaded: SystemExit: no." in told


async def test_a_builtin_tool_is_not_replaced(workspace: Path) -> None:
    module = SHOUT.replace("def shout", "def bash")
    settings(workspace, '[[tools]]\nmodule = "my_tools.py"\n', module)
    async with story(workspace, call("bash", cmd="echo real"), Reply(text="Done.")) as one:
        one.folder.set_trust(True)
        await one.app.sessions.new(one.folder).chat("go")
        assert one.last_result() == "real"
        assert any("bash already registered" in notice.text for notice in one.person.of(Notice))


async def test_failures_and_long_results_are_told(workspace: Path) -> None:
    module = '''
from pygent.tools.user import tool

@tool
def broken() -> str:
    """Fail."""
    raise RuntimeError("the reason")

@tool
async def long(rt) -> str:
    """Say much."""
    return "x" * 100_000
'''
    settings(workspace, '[[tools]]\nmodule = "my_tools.py"\nconfirm = false\n', module)
    async with story(workspace, call("broken"), call("long"), Reply(text="Done.")) as one:
        one.folder.set_trust(True)
        await one.app.sessions.new(one.folder).chat("go")
        failed, long = one.person.of(ToolFinished)
        assert failed.status == "failed" and "broken failed: RuntimeError: the reason" in failed.output
        assert long.truncated and len(long.output) < 40_000
        whole = Path(long.output.partition("All of it is in ")[2].partition(".txt")[0] + ".txt")
        assert len(whole.read_text()) == 100_000


async def test_the_function_runs_beside_the_loop(workspace: Path) -> None:
    nothing = {"type": "object", "properties": {}}
    user.register_tool("where", "Where", nothing, lambda rt: threading.current_thread().name)
    async with story(workspace, call("where"), Reply(text="Done.")) as one:
        one.app.sessions.custom = lambda _: Custom(tools=user.of_program)
        await one.app.sessions.new(one.folder).chat("go")
        assert one.last_result() not in ("", threading.main_thread().name)


async def test_installed_packages_offer_tools_and_always_ask(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    (installed / "acme-1.0.dist-info").mkdir(parents=True)
    (installed / "acme-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n"
    )
    (installed / "acme-1.0.dist-info" / "entry_points.txt").write_text(
        "[pygent.tools]\nall = acme_tools\none = acme_tools:plain\nbroken = acme_tools:nothing\n"
    )
    (installed / "acme_tools.py").write_text(
        "from pygent import tool\n"
        "@tool\ndef marked(number: int) -> int:\n    '''Add one.'''\n    return number + 1\n"
        "def plain() -> str:\n    '''Say so.'''\n    return 'plain'\n"
    )
    monkeypatch.syspath_prepend(str(installed))
    person = Person(Decision(decision="accept"))
    replies = [call("marked", number=1), call("plain"), Reply(text="Done.")]
    async with story(workspace, *replies, person=person) as one:
        session = one.app.sessions.new(one.folder)
        assert (await session.chat("go")).status == "completed"
        assert [done.output for done in one.person.of(ToolFinished)] == ["2", "plain"]
        assert [approval.title for approval in person.approvals] == ["Call marked", "Call plain"]
        sources = {tool.name: tool.source for tool in session.tools.list()}
        assert (sources["marked"], sources["plain"], sources["bash"]) == ("all", "one", "built-in")
        assert any("tools of broken can't be loaded" in notice.text for notice in one.person.of(Notice))


async def test_a_workspace_on_the_path_offers_nothing_by_itself(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    info = workspace / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pygent.tools]\nall = evil_tools\n")
    (workspace / "evil_tools.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(workspace))
    async with story(workspace, Reply(text="Done.")) as one:
        await one.app.sessions.new(one.folder).chat("go")
    assert not mark.exists()
    assert str(workspace) in sys.path


async def test_a_module_imports_what_was_trusted_and_nothing_else_of_the_workspace(workspace: Path) -> None:
    module = "import helper, json\nfrom pygent.tools.user import tool\n@tool\ndef both() -> str:\n    return helper.X + json.dumps(1)\n"
    settings(workspace, '[[tools]]\nmodule = "my_tools.py"\nconfirm = false\n', module)
    (workspace / "helper.py").write_text("X = 'helped '\n")
    (workspace / "json.py").write_text("raise SystemExit('shadowed')\n")
    async with story(workspace, call("both"), Reply(text="Done.")) as one:
        one.folder.set_trust(True)
        await one.app.sessions.new(one.folder).chat("go")
        assert one.last_result() == "helped 1"
    assert "helper" not in sys.modules
