"""Servers that ask during a call, and clients that come back with answers (translation contract, section 6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness import lab as lab_server
from harness.lab import AnyLab
from harness.http1 import Connection
from harness.modern import Client, call, encode
from harness.stack import Stack, stack
from harness.ways import Way
from question_cases import (
    ANSWERS, EVERYTHING, Person, answers_to, ask, in_turn, keys, question_and_answer, question_ids, send,
    the_published_client, together,
)

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


@pytest.mark.parametrize("get", [False, True], ids=["post", "get"])
@pytest.mark.parametrize("what", ANSWERS)
async def test_a_question_and_its_answer(running: Stack, what: str, get: bool) -> None:
    await question_and_answer(running, what, get=get)
    assert [(id, type(id)) for id in await question_ids(running)] == [(0, int)], "the server counts from 0"


async def test_questions_that_come_together_are_one_round(running: Stack) -> None:
    await together(running, "elicitation", "sampling")


async def test_three_rounds(running: Stack) -> None:
    await in_turn(running, "elicitation", "roots", "elicitation")


@pytest.mark.parametrize("get", [False, True], ids=["post", "get"])
async def test_the_published_client_answers(running: Stack, get: bool) -> None:
    await the_published_client(running, "elicitation", "sampling", "roots", get=get)


async def test_prompts_and_resources_ask_too(running: Stack) -> None:
    person = Person()
    async with person.client(running) as it:
        assert json.loads((await it.get_prompt("ask")).messages[0].content.text) == ANSWERS["elicitation"]
        assert json.loads((await it.read_resource("lab:///asks")).contents[0].text) == ANSWERS["elicitation"]
        assert len(person.seen) == 2


async def test_a_client_that_cannot_be_asked_is_not(running: Stack) -> None:
    """The SDK asks only whom it may, and the tool says so in its own words."""
    refused = await send(running, {"questions": ["sampling", "roots"]}, capabilities={"elicitation": {}})
    found = json.loads(refused.text)
    assert [each["error"] for each in found] == [-32601, -32601]
    failed = await send(running, {"questions": ["sampling"], "fails": True}, capabilities={"elicitation": {}})
    assert (failed.status, failed.code) == (400, -32021)
    assert failed.error["data"] == {"requiredCapabilities": {"sampling": {}}}


@pytest.mark.parametrize("get", [False, True], ids=["post", "get"])
async def test_a_client_that_declares_nothing_hears_what_to_declare(running: Stack, get: bool) -> None:
    """Its calls share a session."""
    assert (await running.client.call("echo", {"text": "first"})).text == "first"
    while not await running.backend_methods("GET"):
        await asyncio.sleep(0.02)
    required = {"elicitation": {"elicitation": {"form": {}}}, "sampling": {"sampling": {}}, "roots": {"roots": {}}}
    for what, needs in required.items():
        failed = await send(running, {"questions": [what], "fails": True, "get": get}, capabilities={})
        assert (failed.status, failed.code, failed.error["data"]) == (400, -32021, {"requiredCapabilities": needs})
        went_on = await send(running, {"questions": [what], "get": get}, capabilities={})
        assert (went_on.status, "error" in json.loads(went_on.text)[0]) == (200, True)


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
