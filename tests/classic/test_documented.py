"""The snippets of Pygent 1.0's documentation, run unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.classic.scripts import run
from tests.story import call

from pygent.replay import Match, Reply, ScriptedCall

pytestmark = pytest.mark.e2e
ECHO = """
from pygent import Agent, openai_compat

class EchoModel:
    def chat(self, messages, model, tools):
        last = messages[-1]["content"]
        return openai_compat.Message(role="assistant", content=f"Echo: {last}")
"""
BASH = """
import json
from pygent import Agent, openai_compat

class BashModel:
    def chat(self, messages, model, tools):
        cmd = messages[-1]["content"]
        call = openai_compat.ToolCall(
            id="1",
            type="function",
            function=openai_compat.ToolCallFunction(
                name="bash",
                arguments=json.dumps({"cmd": cmd}),
            ),
        )
        return openai_compat.Message(role="assistant", content=None, tool_calls=[call])
"""


async def test_the_agent(tmp_path: Path) -> None:
    script = """
        from pygent import Agent

        ag = Agent()
        ag.step("echo 'Hello World'")
        ag.runtime.cleanup()
    """
    out, server = await run(script, tmp_path, call("bash", cmd="echo 'Hello World'"))
    assert "Pygent tool:bash" in out and "Hello World" in out
    assert server.requests[0]["messages"][-1] == {"role": "user", "content": "echo 'Hello World'"}
    assert list(tmp_path.iterdir()) == []


async def test_a_model_of_ones_own(tmp_path: Path) -> None:
    out, server = await run(f'{ECHO}\nag = Agent(model=EchoModel())\nag.step("test")', tmp_path)
    assert "Pygent replied" in out and "Echo: test" in out
    assert server.requests == []


async def test_a_model_that_calls_tools(tmp_path: Path) -> None:
    script = (
        f"{BASH}\nag = Agent(model=BashModel())\nag.step('echo hi')\nag.step('echo on')\nag.runtime.cleanup()"
    )
    out, _ = await run(script, tmp_path)
    assert "hi" in out and "on" in out and "[exit code" not in out


async def test_a_model_over_http(tmp_path: Path) -> None:
    script = """
        from pygent import Agent, openai_compat

        class HTTPModel:
            def chat(self, messages, model, tools):
                resp = openai_compat.chat.completions.create(
                    model=model,
                    messages=messages,
                    tools=tools,
                    tool_choice="auto",
                )
                return resp.choices[0].message

        ag = Agent(model=HTTPModel())
        ag.step("who am I?")
        ag.step("and now?")
    """
    out, server = await run(script, tmp_path, Reply(text="You."), Reply(text="Still you."))
    assert "You." in out and "Still you." in out
    assert [message["role"] for message in server.requests[1]["messages"]] == [
        *("system", "user", "assistant", "user")
    ]
    assert "bash" in {tool["function"]["name"] for tool in server.requests[0]["tools"]}


async def test_a_global_model(tmp_path: Path) -> None:
    script = f"""{ECHO}
from pygent.models import set_custom_model

set_custom_model(EchoModel())
ag = Agent()
ag.step("hello")
set_custom_model(None)
assert type(Agent().model).__name__ == "OpenAIModel"
"""
    out, _ = await run(script, tmp_path)
    assert "Echo: hello" in out


async def test_tools_of_ones_own(tmp_path: Path) -> None:
    script = """
        from pygent import Agent, register_tool, tool

        def hello(rt, name: str) -> str:
            return f"Hello {name}!"

        register_tool(
            "hello",
            "Greet by name",
            {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            hello
        )

        @tool(
            name="goodbye",
            description="Say goodbye",
            parameters={"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        )
        def goodbye(rt, name: str) -> str:
            return f"Goodbye {name}!" + rt.bash("echo really").splitlines()[1]

        ag = Agent()
        ag.step("hello name='world'")
        ag.step("goodbye name='world'")
        ag.runtime.cleanup()
    """
    out, _ = await run(script, tmp_path, call("hello", name="world"), call("goodbye", name="world"))
    assert "Hello world!" in out and "Goodbye world!really" in out


async def test_the_register_of_tools(tmp_path: Path) -> None:
    script = """
        import pygent

        pygent.clear_tools()
        pygent.Agent().step("none")
        pygent.reset_tools()
        pygent.remove_tool("bash")
        pygent.Agent().step("no bash")
    """
    _, server = await run(script, tmp_path, Reply(text="1"), Reply(text="2"))
    assert not server.requests[0].get("tools")
    names = {tool["function"]["name"] for tool in server.requests[1]["tools"]}
    assert "bash" not in names and "write_file" in names


async def test_system_messages_of_ones_own(tmp_path: Path) -> None:
    script = """
        from pygent import Agent, set_system_message_builder
        from pygent.agent import set_system_message_builder as same

        def my_builder(persona, disabled_tools=None):
            return f"{persona.name}: ready to work"

        assert same is set_system_message_builder
        set_system_message_builder(my_builder)
        Agent().step("1")
        set_system_message_builder(None)
        ag = Agent(system_message_builder=lambda persona, disabled_tools=None: "mine")
        ag.step("2")
        assert ag.history[0] == {"role": "system", "content": "mine"}
        Agent(system_msg="You are a friendly bot").step("3")
        Agent().step("4")
    """
    _, server = await run(script, tmp_path, *(Reply(text="x") for _ in range(4)))
    systems = [request["messages"][0]["content"] for request in server.requests]
    assert systems[:3] == ["Pygent: ready to work", "mine", "You are a friendly bot"]
    assert systems[3].startswith("You are Pygent, a sandboxed coding assistant.")
    assert "bubblewrap" in systems[3] or "no sandbox" in systems[3]


async def test_builders_and_presets(tmp_path: Path) -> None:
    script = """
        from pygent import Agent, set_system_message_builder, PROMPT_BUILDERS, AGENT_PRESETS

        set_system_message_builder(PROMPT_BUILDERS["autonomous"])
        ag = Agent()
        ag.run_until_stop("echo hello")
        set_system_message_builder(None)

        ag = AGENT_PRESETS["reviewer"].create_agent()
        last = ag.run_until_stop("echo hello")
        assert last.content == "Reviewed.", last
        print([message["role"] for message in ag.history])
    """
    replies = [call("bash", cmd="echo hello"), call("stop"), Reply(text="Reviewed.")]
    out, server = await run(script, tmp_path, *replies)
    assert "# Nobody is there" in server.requests[0]["messages"][0]["content"]
    assert "# Review" in server.requests[2]["messages"][0]["content"]
    names = {tool["function"]["name"] for tool in server.requests[2]["tools"]}
    assert "bash" in names and "write_file" not in names
    assert "['system', 'user', 'assistant']" in out


async def test_delegating_with_files(tmp_path: Path) -> None:
    script = """
        import time
        from pygent import TaskManager, Runtime

        manager = TaskManager()
        main_rt = Runtime(use_docker=False)
        main_rt.write_file("msg.txt", "hi")
        tid = manager.start_task("show it", main_rt, files=["msg.txt"])
        print("Started", tid)
        while manager.status(tid) == "running":
            time.sleep(0.1)
        print("Status:", manager.status(tid))
        print(manager.collect_file(main_rt, tid, "hello.txt"))
        print(main_rt.read_file("hello.txt"))
        print(manager.collect_file(main_rt, tid, "none.txt"))
        print(manager.status("nothing"))
        main_rt.cleanup()
    """
    replies = [
        call("bash", cmd="cat msg.txt; ls"),
        call("write_file", path="hello.txt", content="done"),
        call("stop"),
    ]
    out, server = await run(script, tmp_path, *replies)
    assert (
        "Status: finished\nRetrieved hello.txt\ndone\nfile none.txt not found\nTask nothing not found" in out
    )
    told = server.requests[1]["messages"][-1]["content"]
    assert told.startswith("hi") and told.split() == ["himsg.txt"]


async def test_a_crew(tmp_path: Path) -> None:
    script = """
        import time
        from pygent import Agent, TaskManager
        from pygent.persona import Persona

        personas = [Persona("writer", "produces files"), Persona("reviewer", "checks the result")]
        manager = TaskManager(personas=personas)
        main = Agent()
        main.runtime.write_file("note.txt", "there")
        writing = manager.start_task("write", main.runtime, persona="writer")
        reading = manager.start_task("read", main.runtime, files=["note.txt"], persona="reviewer")
        for tid in [writing, reading]:
            while manager.status(tid) == "running":
                time.sleep(0.1)
            print("Task status", manager.status(tid))
        print(sorted(info["persona"] for info in manager.list_tasks().values()))
        print(manager.collect_file(main.runtime, writing, "made.txt"))
        main.runtime.cleanup()
    """
    write, read = Match(first="write"), Match(first="read")
    made = [ScriptedCall(name="write_file", arguments={"path": "made.txt", "content": "x"})]
    replies = [
        Reply(match=write, tool_calls=made),
        Reply(match=write, text="Written."),
        Reply(match=read, tool_calls=[ScriptedCall(name="bash", arguments={"cmd": "cat note.txt"})]),
        Reply(match=read, text="Read."),
    ]
    out, server = await run(script, tmp_path, *replies)
    assert out.count("Task status finished") == 2
    assert "['reviewer', 'writer']\nRetrieved made.txt" in out
    systems = {request["messages"][0]["content"].split("\n")[0] for request in server.requests}
    assert systems == {"You are writer, produces files", "You are reviewer, checks the result"}


async def test_a_factory_of_agents(tmp_path: Path) -> None:
    script = f"""{ECHO}
import time
from pygent import TaskManager

manager = TaskManager(agent_factory=lambda p=None: Agent(model=EchoModel(), persona=p))
main = Agent()
tid = manager.start_task("begin", main.runtime)
while manager.status(tid) == "running":
    time.sleep(0.1)
print("Status:", manager.status(tid))
try:
    manager.start_task("deeper", main.runtime, parent_depth=1)
except RuntimeError as error:
    print(error)
main.runtime.cleanup()
"""
    out, server = await run(script, tmp_path)
    assert "Status: finished\nnested delegation is not allowed" in out
    assert server.requests == []


async def test_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "sample_config.toml").write_text(
        'persona_name = "FriendlyBot"\n[[task_personas]]\nname = "tester"\n'
    )
    script = """
        import time
        from pygent import Agent, load_config, TaskManager

        print(sorted(load_config("sample_config.toml")))
        main = Agent()
        manager = TaskManager()
        main.step("write calc.py")
        task_id = manager.start_task("Write tests", main.runtime, files=["calc.py"])
        while manager.status(task_id) == "running":
            time.sleep(0.1)
        print("Status:", manager.status(task_id))
        main.runtime.cleanup()
    """
    first = call("write_file", path="calc.py", content="def add(a, b): return a + b")
    out, server = await run(script, tmp_path, first, Reply(text="Tested."))
    assert "['persona_name', 'task_personas']" in out and "Status: finished" in out
    assert "FriendlyBot tool:write_file" in out
    assert server.requests[1]["messages"][0]["content"].startswith("You are tester")


async def test_the_runtime(tmp_path: Path) -> None:
    script = """
        from pygent import runtime

        (rt := runtime.Runtime(use_docker=False, banned_commands=["rm"], banned_apps=["curl"]))
        print(rt.bash("echo one; exit 3"))
        print(rt.bash("rm -rf x"))
        print(rt.bash("sudo curl example.org"))
        print(rt.bash("sleep 30", timeout=0.2))
        print(rt.write_file("a/b.txt", "text"), rt.read_file("a/b.txt"), rt.read_file("a/b.txt", binary=True))
        print(rt.read_file("nothing"))
        heard = []
        rt.bash("echo streamed", stream=heard.append)
        print(heard)
        open("out.txt", "w").write("from outside")
        print(rt.upload_file("out.txt", "in.txt"), rt.export_file("a", "exported"))
        for path in ("../up.txt", "/etc/passwd", "a/../../x"):
            try:
                rt.write_file(path, "x")
            except Exception as error:
                print(type(error).__name__, error)
        base = rt.base_dir
        rt.cleanup()
        print(base.exists())
    """
    out, _ = await run(script, tmp_path)
    assert "$ echo one; exit 3\none\n[exit code 3]\n" in out
    assert "$ rm -rf x\n[error] the command rm is banned" in out
    assert "[error] the program curl is banned" in out
    assert "[timeout after 0.2s]" in out
    assert "Wrote a/b.txt text dGV4dA==\nfile nothing not found\n" in out
    assert "'streamed\\n'" in out
    assert "Uploaded in.txt Exported a" in out and (tmp_path / "exported/b.txt").read_text() == "text"
    assert out.count("is outside the workspace") == 3
    assert out.rstrip().endswith("False")


async def test_docker_is_never_replaced_in_silence(tmp_path: Path) -> None:
    script = """
        from pygent import Runtime
        try:
            Runtime(use_docker=True)
        except Exception as error:
            print(type(error).__name__, error)
    """
    out, _ = await run(script, tmp_path, DOCKER_HOST="unix:///nowhere.sock")
    assert "SandboxUnavailable" in out


async def test_a_snapshot_gives_no_keys(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    (saved / "workspace").mkdir(parents=True)
    (saved / "workspace" / "kept.txt").write_text("kept")
    (saved / "history.json").write_text(
        '[{"role": "user", "content": "before"}, {"role": "assistant", "content": "Yes."}]'
    )
    (saved / "env.json").write_text('{"OPENAI_API_KEY": "sk-stolen-key-1234", "PYGENT_MODEL": "saved-model"}')
    script = """
        from pygent import Agent, load_snapshot

        print(load_snapshot("saved"))
        ag = Agent()
        print(ag.runtime.read_file("kept.txt"), [message["content"] for message in ag.history[1:]])
        ag.step("on")
    """
    out, server = await run(script, tmp_path, Reply(text="Fine."))
    assert "kept ['before', 'Yes.']" in out
    assert server.requests[0]["model"] == "saved-model"
    assert [message["content"] for message in server.requests[0]["messages"][1:]] == ["before", "Yes.", "on"]
    assert "sk-stolen-key-1234" not in str(server.headers)


async def test_the_history_can_be_written(tmp_path: Path) -> None:
    script = """
        from pygent import Agent

        ag = Agent(history=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
        ag.history.append({"role": "user", "content": "c"})
        ag.step("d")
        print([(message["role"], message["content"]) for message in ag.history[1:]])
    """
    out, server = await run(script, tmp_path, Reply(text="e"))
    said = [message["content"] for message in server.requests[0]["messages"][1:]]
    assert said == ["a", "b", "c\n\nd"]
    assert "('assistant', 'b'), ('user', 'c'), ('user', 'd'), ('assistant', 'e')]" in out


async def test_limits_and_failures_are_told(tmp_path: Path) -> None:
    script = """
        from pygent import Agent, PygentError

        ag = Agent()
        ag.run_until_stop("go", max_steps=2)
        print(len(ag.history))
        ag.run_until_stop("slow", max_time=1)
        print("timed out", ag.timed_out)
        try:
            ag.step("fail")
        except PygentError as error:
            print("refused:", error)
    """
    replies = [
        *(call("bash", cmd=f"echo {n}") for n in range(2)),
        call("bash", cmd="sleep 20"),
        Reply(status=401, text="bad key"),
    ]
    out, _ = await run(script, tmp_path, *replies)
    assert "6\n" in out and "timed out True" in out and "refused:" in out
