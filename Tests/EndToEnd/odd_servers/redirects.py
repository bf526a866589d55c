"""Servers that redirect requests of a session that is there: the legacy client follows, and so does Remora."""

from __future__ import annotations

from collections import Counter
from typing import Any

import mcp

from harness.odd import HTTP, OddServer, Peer, Running, Script, outcome

CALLS = ["1", "2", "3"]


async def three_calls(client: mcp.Client) -> Any:
    return [await outcome(client.call_tool("x", {"text": text})) for text in CALLS]


class Moves:
    """A server that redirects what `moves` says, and counts the calls that it has run."""

    def __init__(self, running: Running, steps: dict[str, tuple[int, str]], moves: tuple[str, ...]) -> None:
        self.running, self.steps, self.moves = running, steps, moves
        self.ran: Counter[str] = Counter()

    async def __call__(self, peer: Peer) -> bool:
        target = peer.exchange.request.target
        if target in self.steps and (peer.method or peer.exchange.request.method) in self.moves:
            status, location = self.steps[target]
            body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"moved"}}'
            await peer.exchange.reply(status, body, Location=location.format(address=self.running.http.address))
            return True
        if peer.tool is None:
            return False
        text = peer.message["params"]["arguments"]["text"]
        self.ran[text] += 1
        await peer.text(text)
        return True


LATER = ("notifications/initialized", "tools/list", "tools/call", "ping", "GET", "DELETE", "server/discover")


def moved(*steps: tuple[str, int, str], moves: tuple[str, ...] = LATER) -> Any:
    def make(running: Running) -> Script:
        return Moves(running, {path: (status, location) for path, status, location in steps}, moves)

    return make


async def ran_once(running: Running, _: Any) -> None:
    assert running.script.ran == Counter(CALLS), running.script.ran


async def knows_the_way(running: Running, remora: Any) -> None:
    """What has moved for good is not asked for at the old place again."""
    await ran_once(running, remora)
    calls = [each.target for each in running.http.requests if b'"tools/call"' in each.body]
    assert calls[-2:] == ["/mcp/", "/mcp/"], calls


async def listens_elsewhere(running: Running, remora: Any) -> None:
    await ran_once(running, remora)
    targets = [(each.method, each.target) for each in running.http.requests]
    assert ("GET", "/x") in targets and ("POST", "/x") not in targets, targets


async def asks_again(running: Running, remora: Any) -> None:
    """What is elsewhere for once is asked for at the old place each time."""
    await ran_once(running, remora)
    calls = [each.target for each in running.http.requests if b'"tools/call"' in each.body]
    assert calls[-4:] == ["/mcp", "/mcp/"] * 2, calls


ROWS = [
    OddServer(
        f"moved-later-{status}-{name}", moved(("/mcp", status, location)), HTTP, three_calls,
        check=knows_the_way if status == 308 else asks_again,
    )
    for status in (307, 308)
    for name, location in {"path": "/mcp/", "url": "http://{address}/mcp/", "relative": "mcp/"}.items()
] + [
    OddServer(
        "moved-later-in-steps",
        moved(("/mcp", 307, "/a"), ("/a", 308, "/b?c"), ("/b?c", 307, "/d")), HTTP, three_calls, check=ran_once,
    ),
    OddServer("moved-calls-alone", moved(("/mcp", 307, "/x"), moves=("tools/call",)), HTTP, three_calls, check=ran_once),
    OddServer("moved-get-alone", moved(("/mcp", 308, "/x"), moves=("GET",)), HTTP, three_calls, check=listens_elsewhere),
    OddServer(
        "moved-notifications-alone", moved(("/mcp", 307, "/x"), moves=("notifications/initialized",)), HTTP, three_calls,
        check=ran_once,
    ),
    OddServer("moved-to-other-letters", moved(("/mcp", 307, "/mcp/é?ü=1")), HTTP, three_calls, check=ran_once),
]
