"""What servers are told of clients: roots for those that have none, and capabilities that some servers cannot read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp
from mcp import types

from harness.odd import ALL, OddServer, Peer, Running, Script, outcome, said
from harness.remora import Remora

ROOT = "file:///srv/data"


async def roots_of_a_client(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult.model_validate({"roots": [{"uri": ROOT}]})


async def never(context: Any) -> types.ListRootsResult:
    await asyncio.sleep(3600)
    raise AssertionError


async def one_call(client: mcp.Client) -> Any:
    return [await outcome(client.call_tool("x", {"text": "1"})), await outcome(client.call_tool("x", {"text": "2"}))]


def asks_for_roots(running: Running) -> Script:
    """Asks during each call, and says what it was told and what had been declared."""
    waiting: dict[str, Peer] = {}
    declared: list[Any] = []

    async def script(peer: Peer) -> bool:
        if peer.method == "initialize":
            declared.append(peer.message["params"]["capabilities"])
            return False
        if peer.tool == "x":
            waiting["call"] = peer
            await peer.message_of(id="roots", method="roots/list")
            if peer.exchange is not None:
                done = waiting["done"] = asyncio.Event()  # type: ignore[assignment]
                await asyncio.wait_for(done.wait(), 10)
            return True
        if peer.id == "roots" and not peer.method:
            found = peer.message.get("result", peer.message.get("error"))
            uris = [root["uri"] for root in found["roots"]] if "roots" in found else found
            said = json.dumps([uris, "roots" in declared[-1]])
            if peer.exchange is not None:
                await peer.exchange.reply(202, b"", type=None)
            await waiting["call"].text(said)
            if peer.exchange is not None:
                waiting["done"].set()  # type: ignore[attr-defined]
            return True
        return False

    return script


def asks_at_once(running: Running) -> Script:
    """Asks when it hears `initialized`, and answers calls by what it has been told by then, as the reference filesystem
    server does."""
    told: list[str] = []

    async def script(peer: Peer) -> bool:
        if peer.method == "notifications/initialized":
            await peer.message_of(id="roots", method="roots/list")
            return True
        if peer.id == "roots" and not peer.method:
            told.extend(root["uri"] for root in peer.message.get("result", {}).get("roots", []))
            return True
        if peer.tool == "x":
            await peer.text(f"{told}")
            return True
        return False

    return script


def cannot_read(*members: str) -> Any:
    """Refuses `initialize` with such capabilities, as old Java SDKs do with members of `elicitation`."""

    def make(running: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.method != "initialize":
                return False
            found = peer.message["params"]["capabilities"]
            for member in members:
                outer, _, inner = member.partition(".")
                if outer in found and (not inner or inner in found[outer]):
                    await peer.error(-32603, f'Unrecognized field "{inner or outer}"')
                    return True
            return False

        return script

    return make


async def one_session(running: Running, remora: Remora) -> None:
    assert running.methods["initialize"] == 1, "calls of clients that need not be asked share a session"


async def elicit(context: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="decline")


CONFIGURED = {"roots": [ROOT, "file:///srv/more"]}
TWO = [ROOT, "file:///srv/more"]

ROWS = [
    # A client without roots, one that has others, and one that declares them and never answers.
    OddServer(
        "roots-for-a-client-without", asks_for_roots, ("stream", "sse", "stdio"), one_call, server=CONFIGURED,
        wanted=[said(json.dumps([TWO, True]))] * 2, check=one_session,
    ),
    OddServer(
        "roots-in-place-of-the-clients", asks_for_roots, ("stream", "sse", "stdio"), one_call, server=CONFIGURED,
        wanted=[said(json.dumps([TWO, True]))] * 2, client={"list_roots_callback": roots_of_a_client}, check=one_session,
    ),
    OddServer(
        "roots-never-answered", asks_for_roots, ("stream", "sse", "stdio"), one_call, server=CONFIGURED,
        wanted=[said(json.dumps([TWO, True]))] * 2, client={"list_roots_callback": never},
    ),
    OddServer(
        "roots-asked-at-once", asks_at_once, ("sse", "stdio"), one_call, server=CONFIGURED,
        wanted=[said(str(TWO))] * 2,
    ),
    OddServer(
        "roots-by-client-name", asks_for_roots, ("stream", "sse", "stdio"), one_call, server=CONFIGURED,
        changes={"clients": [{"name": "mcp", "roots": ["file:///own"]}, {"name": "other", "roots": []}]},
        wanted=[said(json.dumps([["file:///own"], True]))] * 2,
    ),
    OddServer(
        "capability-members", cannot_read("elicitation.form", "elicitation.url"), ALL, one_call,
        server={"client_capabilities": ["elicitation", "sampling", "roots"]},
        client={"elicitation_callback": elicit}, wanted=[said("raw")] * 2,
    ),
    OddServer(
        "capability-unknown", cannot_read("elicitation"), ALL, one_call,
        server={"client_capabilities": ["sampling", "roots"]},
        client={"elicitation_callback": elicit}, wanted=[said("raw")] * 2,
    ),
    OddServer(
        "capability-by-client-name", cannot_read("elicitation"), ALL, one_call,
        changes={"clients": [{"name": "mcp", "client_capabilities": []}]},
        client={"elicitation_callback": elicit}, wanted=[said("raw")] * 2,
    ),
]
