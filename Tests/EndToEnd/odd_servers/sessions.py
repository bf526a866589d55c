"""Servers whose callers keep something in a session, that want few calls at once, or that live at another place."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import mcp
from mcp_types import ElicitResult

from harness.odd import HTTP, OddServer, Peer, Running, Script, outcome

CROWD = 60
"""Calls at once of callers without credentials: more than half of `sessions.max`, and not all of it."""


async def declines(*_: Any) -> ElicitResult:
    return ElicitResult(action="decline")


def texts(found: list[Any]) -> list[Any]:
    return [each["content"][0]["text"] if "content" in each else each for each in found]


async def call(client: mcp.Client, text: str) -> Any:
    return await outcome(client.call_tool("x", {"text": text}))


def session(peer: Peer) -> Any:
    return peer.wire.number if peer.wire is not None else peer.exchange.session


def keeping(_: Running) -> Script:
    """Keeps what it was told in the session in which it was told."""
    kept: dict[Any, set[str]] = defaultdict(set)

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        verb, _, name = peer.message["params"]["arguments"]["text"].partition(" ")
        own = kept[session(peer)]
        if verb == "work":
            await asyncio.sleep(0.2)
        if verb == "keep":
            own.add(name)
        await peer.text("found" if name in own else "not found" if verb == "find" else "done")
        return True

    return script


async def talk_after_a_burst(client: mcp.Client) -> Any:
    found = [await call(client, "keep a")]
    found += await asyncio.gather(*(call(client, f"work {number}") for number in range(8)))
    found += [await call(client, "find a") for _ in range(3)]
    return texts(found)


def exclusive(_: Running) -> Script:
    """Mixes up two calls that come at once."""
    running = 0

    async def script(peer: Peer) -> bool:
        nonlocal running
        if peer.tool is None:
            return False
        running += 1
        mixed = running > 1
        await asyncio.sleep(0.05)
        mixed = mixed or running > 1
        running -= 1
        await peer.text("mixed" if mixed else "alone")
        return True

    return script


async def several_at_once(client: mcp.Client) -> Any:
    await client.list_tools()
    return texts(await asyncio.gather(*(call(client, "") for _ in range(6))))


def waiting_for_a_crowd(_: Running) -> Script:
    """Answers when so many calls are there, or after a while."""
    here = 0
    full = asyncio.Event()

    async def answer(peer: Peer) -> None:
        try:
            async with asyncio.timeout(4):
                await full.wait()
            await peer.text("all here")
        except TimeoutError:
            await peer.text("too few")

    async def script(peer: Peer) -> bool:
        nonlocal here
        if peer.tool is None:
            return False
        here += 1
        if here == CROWD:
            full.set()
        await answer(peer)
        return True

    return script


async def crowd(client: mcp.Client) -> Any:
    await client.list_tools()
    return texts(await asyncio.gather(*(call(client, "") for _ in range(CROWD))))


def moved(status: int, location: str) -> Any:
    """Has its endpoint at `/mcp/`, as frameworks that want a slash at the end."""

    def make(running: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.exchange.request.target != "/mcp":
                return False
            await peer.exchange.reply(status, Location=location.format(address=running.http.address))
            return True

        return script

    return make


async def went_straight(running: Running, _: Any) -> None:
    targets = [each.target for each in running.http.requests]
    straight = running.http.requests[targets.index("/mcp/") :]
    assert {(each.method, each.target) for each in straight} == {("GET", "/mcp/"), ("POST", "/mcp/")}, targets


ROWS = [
    OddServer(
        "keeps-state-after-a-burst", keeping, calls=talk_after_a_burst, client={"elicitation_callback": declines}
    ),
    OddServer(
        "one-call-at-once", exclusive, calls=several_at_once, server={"calls_at_once": 1}, wanted=["alone"] * 6
    ),
    OddServer(
        "one-call-at-once-asked", exclusive, calls=several_at_once, server={"calls_at_once": 1}, wanted=["alone"] * 6,
        client={"elicitation_callback": declines},
    ),
    OddServer(
        "crowd-without-credentials", waiting_for_a_crowd, ("json", "stream"), crowd, ["all here"] * CROWD,
        client={"elicitation_callback": declines},
    ),
    *(
        OddServer(f"moved-{status}-{name}", moved(status, location), HTTP, check=went_straight)
        for status in (307, 308)
        for name, location in {"path": "/mcp/", "url": "http://{address}/mcp/", "relative": "mcp/"}.items()
    ),
]
