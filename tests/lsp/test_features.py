"""The seam for language features: who answers for which document, what is announced, what goes wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.lsp.inprocess import Loop

from pygent.errors import InvalidArgument, PygentError
from pygent.lsp.features import merged
from pygent.lsp.server import Host

PLACE = {"line": 0, "character": 0}


async def ask(loop: Loop, method: str, **params: Any) -> dict[str, Any]:
    number = len(loop.heard) + 1000
    loop.post({"id": number, "method": method, "params": params})
    while not (found := [one for one in loop.heard if one.get("id") == number]):
        await asyncio.sleep(0)
    return found[0]


def connect(**capabilities: Any) -> Loop:
    return Loop(Host(object), capabilities)  # type: ignore[arg-type]


async def test_the_first_that_claims_a_document_answers() -> None:
    loop = connect()
    features = loop.server.features

    async def later(params: Any) -> Any:
        return {"contents": "b"}

    features.answer(
        "textDocument/hover", lambda params: {"contents": "a"}, claims=lambda uri: uri.endswith(".a")
    )
    features.answer("textDocument/hover", later, claims=lambda uri: uri.endswith(".b"))
    features.answer("textDocument/hover", lambda params: {"contents": "rest"}, claims=lambda uri: ".c" in uri)
    for uri, contents in (("x.a", "a"), ("x.b", "b"), ("x.c", "rest")):
        answer = await ask(loop, "textDocument/hover", textDocument={"uri": uri}, position=PLACE)
        assert answer["result"] == {"contents": contents}
    nobody = await ask(loop, "textDocument/hover", textDocument={"uri": "x.d"}, position=PLACE)
    assert nobody["result"] is None
    loop.close()


async def test_actions_of_several_modules_stand_side_by_side() -> None:
    loop = connect()
    for title in ("one", "two"):
        loop.server.features.answer(
            "textDocument/codeLens", lambda params, title=title: [title], claims=lambda uri: uri == "u"
        )
    loop.server.features.answer("textDocument/codeLens", lambda params: None, claims=lambda uri: uri == "u")
    answer = await ask(loop, "textDocument/codeLens", textDocument={"uri": "u"})
    assert answer["result"] == ["one", "two"]
    loop.close()


async def test_what_is_resolved_later_finds_its_module() -> None:
    loop = connect()
    loop.server.features.answer("codeLens/resolve", lambda params: "found", claims=lambda uri: uri == "u")
    assert (await ask(loop, "codeLens/resolve", data={"uri": "u"}))["result"] == "found"
    assert (await ask(loop, "codeLens/resolve", data=5))["result"] is None
    loop.close()


FAILURES = {
    "refusal": (PygentError("notFound", "It is not there."), -32803),
    "argument": (InvalidArgument("position", "another one"), -32602),
    "mistake": (KeyError("a secret"), -32603),
}


@pytest.mark.parametrize(("error", "code"), FAILURES.values(), ids=FAILURES.keys())
async def test_what_a_handler_raises_is_answered(error: Exception, code: int) -> None:
    loop = connect()

    def broken(_: Any) -> Any:
        raise error

    loop.server.features.answer("textDocument/hover", broken)
    answer = await ask(loop, "textDocument/hover", textDocument={"uri": "u"}, position=PLACE)
    assert answer["error"]["code"] == code
    assert "a secret" not in answer["error"]["message"]
    loop.close()


BAD: tuple[dict[str, Any], ...] = (
    {"textDocument": 5},
    {"textDocument": {"uri": 5}},
    {"textDocument": {"uri": "u"}, "position": {"line": "x", "character": 0}},
    {"textDocument": {"uri": "u"}, "range": {"start": PLACE}},
)


@pytest.mark.parametrize("params", BAD)
async def test_params_are_checked_before_a_handler_sees_them(params: dict[str, Any]) -> None:
    loop = connect()
    loop.server.features.answer("textDocument/hover", lambda params: 1)
    error = (await ask(loop, "textDocument/hover", **params))["error"]
    assert error["code"] == -32602
    assert set(error["data"]) == {"field", "expected"}
    loop.close()


async def test_listeners_hear_after_the_buffer_has_changed_and_do_not_harm_each_other() -> None:
    loop = connect()
    heard = []

    def broken(_: Any) -> None:
        raise KeyError

    features, buffers = loop.server.features, loop.server.buffers
    features.listen("textDocument/didOpen", broken)
    features.listen("textDocument/didOpen", lambda params: heard.append([one.text for one in buffers]))
    loop.tell(
        "textDocument/didOpen", {"textDocument": {"uri": "u", "languageId": "x", "version": 1, "text": "t"}}
    )
    assert heard == [["t"]]
    loop.close()


@pytest.mark.parametrize("dynamic", [True, False])
async def test_a_feature_is_registered_where_the_client_takes_that(dynamic: bool) -> None:
    loop = connect(textDocument={"formatting": {"dynamicRegistration": dynamic}})
    features = loop.server.features
    features.register("textDocument/formatting", {"documentSelector": []}, "documentFormattingProvider")
    features.settle()
    registered = [one["method"] for one in features.registrations()]
    assert ("textDocument/formatting" in registered) == dynamic
    assert ("documentFormattingProvider" in features.capabilities) != dynamic
    loop.close()


def test_capabilities_of_several_modules_are_one() -> None:
    one = {"triggerCharacters": ["@"], "resolveProvider": True}
    assert merged(one, {"triggerCharacters": ["/", "@"]}) == {
        "triggerCharacters": ["@", "/"],
        "resolveProvider": True,
    }
    assert merged(one, True) == one
    assert merged(True, one) == one
    assert merged(None, ["a"]) == ["a"]
