"""Questions during a call (translation contract, section 6), in the cases that hold on every way the server is reached.

What a case asks is a parameter: not every version of the SDK can ask everything.
"""

from __future__ import annotations

import json
from typing import Any

import mcp
import mcp_types as types

from harness.modern import VERSION, Answer, Client, call
from harness.stack import Stack

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}}
ANSWERS = {
    "elicitation": {"action": "accept", "content": {"name": "Ada"}},
    "sampling": {"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m", "stopReason": "endTurn"},
    "roots": {"roots": [{"uri": "file:///r", "name": "r"}]},
}


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


async def question_and_answer(running: Stack, what: str, *, get: bool = False) -> None:
    """With `get` on the GET stream, where there is one."""
    arguments = {"questions": [what], "get": get, "who": "Q"}
    asked = await send(running, arguments)
    assert asked.status == 200 and keys(asked) == [f"{what}-1"]
    question = asked.result["inputRequests"][f"{what}-1"]
    if what == "elicitation":
        assert question["params"]["mode"] == "form" and question["params"]["message"] == "Q 1.1"
    assert "ttlMs" not in asked.result and "cacheScope" not in asked.result
    done = await send(running, arguments, before=asked, id="again")
    assert done.json["id"] == "again" and json.loads(done.text) == [ANSWERS[what]]


async def question_ids(running: Stack) -> list[Any]:
    """Of all answers that the server got so far."""
    return [each["id"] for each in await running.backend_messages() if "result" in each and "method" not in each]


async def together(running: Stack, *kinds: str) -> None:
    """Questions that come at once are one round."""
    arguments = {"questions": [list(kinds)], "who": "T"}
    asked = await send(running, arguments)
    assert keys(asked) == sorted(f"{kind}-{number}" for number, kind in enumerate(kinds, 1))
    done = await send(running, arguments, before=asked)
    assert json.loads(done.text) == [ANSWERS[kind] for kind in kinds]


async def in_turn(running: Stack, *kinds: str) -> None:
    """Each question is a round."""
    arguments = {"questions": list(kinds), "who": "R"}
    asked, seen = await send(running, arguments), []
    while "inputRequests" in asked.result:
        seen += keys(asked)
        asked = await send(running, arguments, before=asked, id=len(seen))
    assert seen == [f"{kind}-{number}" for number, kind in enumerate(kinds, 1)]
    assert json.loads(asked.text) == [ANSWERS[kind] for kind in kinds]


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


async def the_published_client(running: Stack, first: str, *others: str, get: bool = False) -> None:
    """Asked one thing, then others at once, then the first again."""
    person = Person()
    async with person.client(running) as it:
        done = await it.call_tool("ask", {"questions": [first, list(others), first], "get": get, "who": "P"})
        assert json.loads(done.content[0].text) == [ANSWERS[each] for each in (first, *others, first)]
        assert len(person.seen) == 2 + len(others)
        assert (await it.call_tool("echo", {"text": "hi"})).content[0].text == "hi"
