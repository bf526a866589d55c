"""Servers that ask during a call, and clients that come back with answers (translation contract, section 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import mcp
import mcp_types as types
import pytest

from harness import lab as lab_server
from harness.lab import AnyLab
from harness.http1 import Connection
from harness.modern import VERSION, Answer, Client, call, encode
from harness.stack import Stack, stack
from harness.ways import Way

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}}
ANSWERS = {
    "elicitation": {"action": "accept", "content": {"name": "Ada"}},
    "sampling": {"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m", "stopReason": "endTurn"},
    "roots": {"roots": [{"uri": "file:///r", "name": "r"}]},
}


@pytest.fixture(scope="session", params=["1.30.0", "1.12.4"])
async def asking(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[AnyLab]:
    """A server of each revision that has elicitation."""
    async with await lab_server.start(request.param) as process:
        yield AnyLab(request.param, "sse", await lab_server.address(process), Way())
        await process.stop()


@pytest.fixture
async def running(asking: AnyLab) -> AsyncIterator[Stack]:
    async with stack(asking.address) as it:
        yield it


async def ask(running: Stack, *questions: Any, **arguments: Any) -> Answer:
    """A call that asks these questions in turn."""
    return await send(running, {"questions": list(questions), **arguments})


async def send(
    running: Stack, arguments: dict[str, Any], name: str = "ask", *, before: Answer | None = None,
    answers: dict[str, Any] | None = None, capabilities: Any = None, id: Any = 1, **options: Any,
) -> Answer:
    """A call, or with the answer before it a retry of that."""
    message = call(name, arguments, id=id, clientCapabilities=EVERYTHING if capabilities is None else capabilities)
    if before is not None:
        message["params"]["requestState"] = before.result["requestState"]
        message["params"]["inputResponses"] = answers if answers is not None else answers_to(before)
    async with Client(running.front.address) as client:
        return await client.send(message, **options)


def answers_to(asked: Answer) -> dict[str, Any]:
    return {key: ANSWERS[kind(question)] for key, question in asked.result["inputRequests"].items()}


def kind(question: dict[str, Any]) -> str:
    return question["method"].split("/")[0]


def keys(asked: Answer) -> list[str]:
    assert asked.result["resultType"] == "input_required", asked
    return sorted(asked.result["inputRequests"])


@pytest.mark.parametrize("get", [False, True], ids=["post", "get"])
@pytest.mark.parametrize("what", ANSWERS)
async def test_a_question_and_its_answer(running: Stack, what: str, get: bool) -> None:
    asked = await ask(running, what, get=get, who="Q")
    assert asked.status == 200 and keys(asked) == [f"{what}-1"]
    question = asked.result["inputRequests"][f"{what}-1"]
    if what == "elicitation":
        assert question["params"]["mode"] == "form" and question["params"]["message"] == "Q 1.1"
    assert "ttlMs" not in asked.result and "cacheScope" not in asked.result
    done = await send(running, {"questions": [what], "get": get, "who": "Q"}, before=asked, id="again")
    assert done.json["id"] == "again" and json.loads(done.text) == [ANSWERS[what]]
    replies = [each for each in await running.backend_messages() if "result" in each and "method" not in each]
    assert [(reply["id"], type(reply["id"])) for reply in replies] == [(0, int)], "the server counts from 0"


async def test_questions_that_come_together_are_one_round(running: Stack) -> None:
    arguments = {"questions": [["elicitation", "sampling"]], "who": "T"}
    asked = await send(running, arguments)
    assert keys(asked) == ["elicitation-1", "sampling-2"]
    done = await send(running, arguments, before=asked)
    assert json.loads(done.text) == [ANSWERS["elicitation"], ANSWERS["sampling"]]


async def test_three_rounds(running: Stack) -> None:
    arguments = {"questions": ["elicitation", "roots", "elicitation"], "who": "R"}
    asked, seen = await send(running, arguments), []
    while "inputRequests" in asked.result:
        seen += keys(asked)
        asked = await send(running, arguments, before=asked, id=len(seen))
    assert seen == ["elicitation-1", "roots-2", "elicitation-3"]
    assert len(json.loads(asked.text)) == 3


class Person:
    """What a client with every callback answers, and what it was asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def elicit(self, context: Any, params: Any) -> types.ElicitResult:
        self.seen.append(params.message)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def sample(self, context: Any, params: Any) -> types.CreateMessageResult:
        self.seen.append("sampling")
        return types.CreateMessageResult.model_validate(ANSWERS["sampling"])

    async def roots(self, context: Any) -> types.ListRootsResult:
        self.seen.append("roots")
        return types.ListRootsResult.model_validate(ANSWERS["roots"])

    def client(self, running: Stack) -> mcp.Client:
        return mcp.Client(
            running.url, mode=VERSION, elicitation_callback=self.elicit, sampling_callback=self.sample,
            list_roots_callback=self.roots,
        )


@pytest.mark.parametrize("get", [False, True], ids=["post", "get"])
async def test_the_published_client_answers(running: Stack, get: bool) -> None:
    person = Person()
    questions = ["elicitation", ["sampling", "roots"], "elicitation"]
    async with person.client(running) as it:
        done = await it.call_tool("ask", {"questions": questions, "get": get, "who": "P"})
        found = json.loads(done.content[0].text)
        assert found == [ANSWERS[each] for each in ("elicitation", "sampling", "roots", "elicitation")]
        assert sorted(person.seen) == ["P 1.1", "P 3.1", "roots", "sampling"]
        assert json.loads((await it.get_prompt("ask")).messages[0].content.text) == ANSWERS["elicitation"]
        assert json.loads((await it.read_resource("lab:///asks")).contents[0].text) == ANSWERS["elicitation"]
        assert (await it.call_tool("echo", {"text": "hi"})).content[0].text == "hi"


async def test_a_client_that_cannot_be_asked_is_not(running: Stack) -> None:
    """The SDK asks only whom it may, and the tool says so in its own words."""
    refused = await send(running, {"questions": ["sampling", "roots"]}, capabilities={"elicitation": {}})
    found = json.loads(refused.text)
    assert [each["error"] for each in found] == [-32601, -32601]
    failed = await send(running, {"questions": ["sampling"], "fails": True}, capabilities={"elicitation": {}})
    assert (failed.status, failed.code) == (400, -32021)
    assert failed.error["data"] == {"requiredCapabilities": {"sampling": {}}}


async def test_a_declined_form(running: Stack) -> None:
    asked = await ask(running, "elicitation")
    answers = {"elicitation-1": {"action": "decline", "content": {"name": "x"}}}
    done = await send(running, {"questions": ["elicitation"]}, before=asked, answers=answers)
    assert json.loads(done.text) == [{"action": "decline"}]


async def test_progress_and_log_messages_between_rounds(running: Stack) -> None:
    arguments = {"questions": ["elicitation", "elicitation"], "logs": True, "who": "L"}
    first = await send(running, arguments)
    message = call("ask", arguments, clientCapabilities=EVERYTHING, logLevel="info")
    message["params"]["_meta"]["progressToken"] = "t"
    message["params"] |= {"requestState": first.result["requestState"], "inputResponses": answers_to(first)}
    async with Client(running.front.address) as client:
        second = await client.send(message)
    assert keys(second) == ["elicitation-2"]
    told = [json.loads(text) for text in second.messages[:-1]]
    assert {each["method"] for each in told} == {"notifications/progress", "notifications/message"}
    assert all(each["params"].get("progressToken", "t") == "t" for each in told)


async def test_nobody_comes_back(asking: AnyLab) -> None:
    async with stack(asking.address, interaction={"park_timeout": "1s"}) as running:
        cancelled = (await lab_server.record(asking.address))["methods"].get("notifications/cancelled", 0)
        asked = await ask(running, "elicitation", who="N")
        assert keys(asked) == ["elicitation-1"]
        await lab_server.until(
            asking.address, lambda record: record["methods"].get("notifications/cancelled", 0) > cancelled)
        # The session is good for the next call.
        before = (await lab_server.record(asking.address))["methods"]["initialize"]
        await asyncio.sleep(0.5)
        assert (await send(running, {"text": "hi"}, "echo")).text == "hi"
        assert (await lab_server.record(asking.address))["methods"]["initialize"] == before


async def test_a_client_that_leaves_while_it_waits(running: Stack, asking: AnyLab) -> None:
    before, started = [await lab_server.ends(asking.address, what) for what in ("cancelled", "started")]
    connection = await Connection.open(running.front.address)
    message = call("slow", {"seconds": 20}, clientCapabilities=EVERYTHING)
    await connection.send(encode(message, host=running.front.address))
    await lab_server.until(asking.address, lambda record: record["ends"].get("started", 0) > started)
    connection.abort()
    await lab_server.until(asking.address, lambda record: record["ends"].get("cancelled", 0) > before)
    assert (await send(running, {"text": "hi"}, "echo")).text == "hi"


async def test_pages(lab: str) -> None:
    async with stack(lab) as running:
        arguments = {"seconds": 0.5}
        asked = await send(running, arguments, "visit")
        ((key, question),) = asked.result["inputRequests"].items()
        assert question["params"]["mode"] == "url" and "elicitationId" not in question["params"]
        done = await send(running, arguments, "visit", before=asked, answers={key: {"action": "accept"}})
        assert done.text == "visited"
        declined = await send(running, arguments, "visit")
        done = await send(running, arguments, "visit", before=declined, answers={key: {"action": "decline"}})
        assert done.text == "decline"


async def test_pages_before_the_call(lab: str) -> None:
    """The server forgets to say when its pages are done: they are waited for, and then the call is sent all the same."""
    person = Person()
    async with stack(lab) as running, person.client(running) as it:
        done = await it.call_tool("gated", {"pages": 2})
        assert done.content[0].text == "gated" and sorted(person.seen) == ["Visit page-0.", "Visit page-1."]


async def test_sampling_for_a_server_of_2025_03_26(anyio_backend: str) -> None:
    person = Person()
    async with lab_server.Lab("1.9.4") as old, stack(old.address) as running, person.client(running) as it:
        done = await it.call_tool("ask", {"questions": ["roots", "sampling", "elicitation"][:2], "get": True})
        assert [list(each) for each in json.loads(done.content[0].text)][0] == ["roots"]


async def test_what_one_call_changes_is_told_to_those_who_listen(running: Stack) -> None:
    """The list is that of a session which no listener has."""
    person = Person()
    async with person.client(running) as it:
        before = [tool.name for tool in (await it.list_tools()).tools]
        await it.call_tool("keep", {"text": "x"})
        assert [tool.name for tool in (await it.list_tools()).tools][: len(before)] == before
