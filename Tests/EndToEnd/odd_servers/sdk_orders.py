"""Messages that come twice, late, unasked or in another order, and questions during a call."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp
from mcp_types import ElicitResult, ListRootsResult, Root

from harness.odd import OddServer, Peer, Running, Script, outcome, usual_calls
from harness.odd_ways import PUSHING, SLOW, WIRES, Maker, initialize_result, on, on_call


async def twice(peer: Peer) -> None:
    """A response said twice, between two that belong to no request."""
    await peer.message_of(id=987_654, result={})
    await peer.text("raw")
    await peer.text("again")
    await peer.message_of(id="other", error={"code": -32603, "message": "not yours"})


async def initialized_twice(peer: Peer) -> None:
    await peer.result(**initialize_result(peer))
    await peer.result(**initialize_result(peer))


async def early(peer: Peer) -> None:
    """Swift and Kotlin servers that log while they start: messages before the result of `initialize`."""
    await peer.message_of(method="notifications/message", params={"level": "info", "data": "starting"})
    await peer.message_of(method="notifications/tools/list_changed")
    await peer.message_of(id="ping-1", method="ping")
    await peer.result(**initialize_result(peer))


def answers_notifications(_: Running) -> Script:
    """Servers written by hand: a notification is a request of an unknown method, with the id null."""

    async def script(peer: Peer) -> bool:
        if not peer.method.startswith("notifications/"):
            return False
        await peer.message_of(id=None, error={"code": -32601, "message": f"Method not found: {peer.method}"})
        return True

    return script


def results_for_notifications(_: Running) -> Script:
    """The same, with a result and no id."""

    async def script(peer: Peer) -> bool:
        if not peer.method.startswith("notifications/"):
            return False
        await peer.say('{"jsonrpc":"2.0","result":{}}')
        return True

    return script


def asks(method: str, id: Any, params: dict[str, Any] | None = None) -> Maker:
    """A server that asks during a call, and tells what it got."""

    def make(_: Running) -> Script:
        waiting: dict[str, asyncio.Future[str]] = {}

        async def answer(peer: Peer) -> None:
            waiting["answer"] = asyncio.get_running_loop().create_future()
            asked = {"params": params} if params is not None else {}
            await peer.message_of(id=id, method=method, **asked)

            async def end() -> None:
                async with asyncio.timeout(10):
                    await peer.text(await waiting["answer"])
                await peer.end()

            if peer.form == "stream":
                await end()
            else:  # A wire's next message is read when this one is done with.
                waiting["task"] = asyncio.ensure_future(end())  # type: ignore[assignment]

        async def script(peer: Peer) -> bool:
            if peer.tool is not None:
                await answer(peer)
                return True
            if not peer.method and peer.id == id and "answer" in waiting:
                told = peer.message.get("result", "refused" if "error" in peer.message else None)
                waiting["answer"].set_result(json.dumps(told, sort_keys=True))
            return False

        return script

    return make


async def elicit(*_: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "n"})


async def list_roots(*_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///r", name="r")])


QUESTION = {
    "message": "name?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}


async def settled_calls(client: mcp.Client) -> Any:
    """The usual ones, and a moment for what comes after: the published client breaks when it is left in the middle of that."""
    found = await usual_calls(client)
    await asyncio.sleep(SLOW)
    return found


async def one_call(client: mcp.Client) -> Any:
    return await outcome(client.call_tool("x", {"text": "1"}))


def backwards(_: Running) -> Script:
    """Of two calls at once the later is answered first."""
    held: list[Peer] = []

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        text = peer.message["params"]["arguments"]["text"]
        if peer.exchange is not None:
            await asyncio.sleep(SLOW if text == "1" else 0)
            await peer.text(text)
            return True
        held.append(peer)
        if len(held) == 2:
            for each in reversed(held):
                await each.text(each.message["params"]["arguments"]["text"])
            held.clear()
        return True

    return script


async def two_at_once(client: mcp.Client) -> Any:
    return await asyncio.gather(*(outcome(client.call_tool("x", {"text": text})) for text in ("1", "2")))


async def late_progress(peer: Peer) -> None:
    """Progress of another request, progress that goes back, and more of it after the response."""
    token = peer.message["params"].get("_meta", {}).get("progressToken")
    for of, done in (("other", 1), (token, 2), (token, 1.5), (token, 3)):
        if of is not None:
            params = {"progressToken": of, "progress": done, "total": None, "message": None}
            await peer.message_of(method="notifications/progress", params=params)
    await peer.text("raw")
    await peer.message_of(method="notifications/progress", params={"progressToken": token or 1, "progress": 4})
    await peer.message_of(method="notifications/message", params={"level": "info", "data": "done"})


def late_response(_: Running) -> Script:
    """A cancelled call is answered all the same, when the next has begun."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        text = peer.message["params"]["arguments"]["text"]
        if text == "1" and peer.wire is not None:
            asyncio.get_running_loop().call_later(2 * SLOW, asyncio.ensure_future, peer.text(text))
            return True
        await asyncio.sleep(2 * SLOW if text == "1" else 0)
        await peer.text(text)
        return True

    return script


async def one_given_up(client: mcp.Client) -> Any:
    found: list[Any] = []
    try:
        async with asyncio.timeout(SLOW):
            found.append(await outcome(client.call_tool("x", {"text": "1"})))
    except TimeoutError:
        found.append("given up")
    for text in ("2", "3"):
        found.append(await outcome(client.call_tool("x", {"text": text})))
        await asyncio.sleep(SLOW)
    return found


async def same_id(peer: Peer) -> None:
    """Both sides count from the same number: the server asks under the id of the call that it is in."""
    await peer.message_of(id=peer.id, method="ping")
    await peer.text("raw")


ROWS = [
    OddServer("twice", on_call(twice), forms=WIRES, calls=settled_calls),
    OddServer("initialized_twice", on("initialize", initialized_twice), forms=WIRES),
    OddServer("early", on("initialize", early), forms=WIRES),
    OddServer("answers_notifications", answers_notifications),
    OddServer("results_for_notifications", results_for_notifications),
    OddServer("pings", asks("ping", 1), forms=PUSHING, calls=one_call),
    OddServer("pings_by_string", asks("ping", "a-1"), forms=PUSHING, calls=one_call),
    OddServer("undeclared_roots", asks("roots/list", "r"), forms=PUSHING, calls=one_call),
    OddServer("unknown_question", asks("vendor/ask", 5, {"x": 1}), forms=PUSHING, calls=one_call),
    OddServer(
        "elicits_by_string",
        asks("elicitation/create", "3f0c-é", QUESTION),
        forms=PUSHING,
        calls=one_call,
        client={"elicitation_callback": elicit},
    ),
    OddServer("roots", asks("roots/list", 0), forms=PUSHING, calls=one_call, client={"list_roots_callback": list_roots}),
    OddServer("backwards", backwards, calls=two_at_once),
    OddServer("late_progress", on_call(late_progress), forms=PUSHING, calls=settled_calls),
    OddServer("same_id", on_call(same_id), forms=PUSHING),
    OddServer("late_response", late_response, calls=one_given_up),
]
