"""What a server asks while its session is opened, before there is a call that it could be about: the call that has the session
opened is asked, and where that cannot be asked the server hears what its client's capabilities promise."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.modern import Answer, Client, call, request
from harness.processes import SERVERS
from harness.remora import Remora, configuration
from servers.raw import Exchange, PushBackend

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
ROOTS = {"roots": [{"uri": "file:///home"}]}
QUESTIONS = {
    "roots/list": {},
    "elicitation/create": {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}},
    "sampling/createMessage": {"messages": [], "maxTokens": 1},
}


def retry(message: dict[str, Any], asked: Answer, **answers: Any) -> dict[str, Any]:
    state = {"inputResponses": answers, "requestState": asked.result["requestState"]}
    return {**message, "id": 2, "params": {**state, **message["params"]}}


@asynccontextmanager
async def stdio(*options: str) -> AsyncIterator[Client]:
    command = [sys.executable, str(SERVERS / "raw_stdio.py"), *options]
    async with Remora(configuration({"command": command})) as remora, Client(remora.address) as client:
        yield client


async def test_a_question_before_the_answer_to_initialize_on_a_pipe() -> None:
    async with stdio("greets") as client:
        message = call("told", clientCapabilities=EVERYTHING)
        asked = await client.send(message)
        assert list(asked.result["inputRequests"]) == ["roots-1"]
        done = await client.send(retry(message, asked, **{"roots-1": ROOTS}))
        assert json.loads(done.text) == [{"jsonrpc": "2.0", "id": 0, "result": ROOTS}]


async def test_a_question_that_is_taken_back_before_the_call_is_sent() -> None:
    async with stdio("greets", "regrets") as client:
        done = await client.send(call("told", clientCapabilities=EVERYTHING))
        assert json.loads(done.text) == []


async def test_a_list_cannot_be_asked() -> None:
    async with stdio("greets") as client:
        listed = await client.send(request("tools/list", clientCapabilities=EVERYTHING))
        assert listed.result["tools"]
        # That session has been refused something, and serves no call: another is opened, and asks anew.
        message = call("told", clientCapabilities=EVERYTHING)
        asked = await client.send(message)
        assert list(asked.result["inputRequests"]) == ["roots-1"]


class Greeting(PushBackend):
    """Asks in its answer to `initialize`, before the result."""

    def __init__(self, *questions: str, waits: bool = False) -> None:
        super().__init__(promises=False)
        self.script = self._script
        self.questions = questions
        self.waits = waits
        """Whether it wants an answer to `ping` before it goes on."""
        self.told: dict[Any, dict[str, Any]] = {}

    async def _script(self, exchange: Exchange) -> bool:
        message = exchange.message
        if isinstance(message, dict) and "method" not in message and "id" in message:
            self.told[message["id"]] = message
            await exchange.reply(202, type=None)
            async with self.changed:
                self.changed.notify_all()
            return True
        return await self.dispatch(exchange)

    async def initialize(self, exchange: Exchange) -> None:
        plain = exchange.json

        async def streamed(result: bytes, Mcp_Session_Id: str) -> None:
            await exchange.stream_head(Mcp_Session_Id=Mcp_Session_Id)
            if self.waits:
                await exchange.chunk(b'data: {"jsonrpc":"2.0","id":"p","method":"ping"}\n\n')
                await self.until(lambda _: "p" in self.told)
            for number, method in enumerate(self.questions):
                question = {"jsonrpc": "2.0", "id": number, "method": method, "params": QUESTIONS[method]}
                await exchange.chunk(b"data: " + json.dumps(question).encode() + b"\n\n")
            await exchange.chunk(b"data: " + result + b"\n\n")
            await exchange.chunk(b"")

        exchange.json = streamed  # type: ignore[method-assign]
        await super().initialize(exchange)
        exchange.json = plain  # type: ignore[method-assign]


async def test_questions_before_the_answer_to_initialize_over_http() -> None:
    async with Greeting(*QUESTIONS, waits=True) as server, Remora(configuration(server.url)) as remora:
        message = call("x", clientCapabilities=EVERYTHING)
        async with Client(remora.address) as client:
            asked = await client.send(message)
            assert list(asked.result["inputRequests"]) == ["roots-1", "elicitation-2", "sampling-3"]
            assert server.methods["tools/call"] == 0
            sampled = {"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m"}
            answers = {"roots-1": ROOTS, "elicitation-2": {"action": "decline"}, "sampling-3": sampled}
            done = await client.send(retry(message, asked, **answers))
            assert done.text == "raw"
        assert [server.told[id]["result"] for id in range(3)] == list(answers.values())
        assert server.methods["tools/call"] == 1


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        # As a client without a user.
        (EVERYTHING, [-32603, {"action": "cancel"}, -1]),
        # As one that knows nothing of it.
        ({}, [-32601, -32601, -32601]),
        ({"roots": {}}, [-32603, -32601, -32601]),
    ],
)
async def test_who_cannot_be_asked_answers_as_its_capabilities_say(capabilities: Any, expected: list[Any]) -> None:
    async with Greeting(*QUESTIONS) as server, Remora(configuration(server.url)) as remora:
        async with Client(remora.address) as client:
            assert (await client.send(request("tools/list", clientCapabilities=capabilities))).result["tools"]
        await server.until(lambda server: len(server.told) == 3)
        told = [server.told[id] for id in range(3)]
        assert [each["error"]["code"] if "error" in each else each["result"] for each in told] == expected


async def test_a_server_that_asks_without_end_is_not_kept_in_mind() -> None:
    async with Greeting(*["roots/list"] * 1000) as server, Remora(configuration(server.url)) as remora:
        message = call("x", clientCapabilities=EVERYTHING)
        async with Client(remora.address) as client:
            asked = await client.send(message)
            assert len(asked.result["inputRequests"]) == 32
