"""The Kotlin SDK (0.4 to 0.12) on Ktor."""

from __future__ import annotations

import asyncio
import json

from harness import http1
from harness.odd import HTTP, OddServer, Peer, Running, Script
from harness.odd_ways import PUSHING, SLOW, on_call
from odd_servers.loss import HEALED, answer, forgets, three_calls, two_sessions
from odd_servers.sdk_events import events, joined
from odd_servers.sdk_http import http, plain, to, to_notifications
from odd_servers.sdk_orders import one_given_up, two_at_once
from servers.wires import Wires


def ktor_event(data: bytes) -> bytes:
    """The data before the type, and CRLF."""
    return b"data: " + joined(data) + b"\r\nevent: message\r\n\r\n"


class KtorWires(Wires):
    """The endpoint is a query alone, so messages go where the stream is. A message is taken when its handler has run: what that
    says comes first, and 202 says so in words."""

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await http1.read_request(reader)) is not None:
            number = request.target.partition("?sessionId=")[2]
            if request.method == "GET":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n")
                writer.write(b"Connection: keep-alive\r\nX-Accel-Buffering: no\r\n\r\n")
                wire = self._wire(writer, b"data: ", b"\r\nevent: message\r\n\r\n")
                writer.write(b"data: ?sessionId=%d\r\nevent: endpoint\r\n\r\n" % wire.number)
                await reader.read()
                return
            if not number.isdigit():
                writer.write(plain("400 Bad Request", "text/plain", "sessionId query parameter is not provided"))
                continue
            await self._hear(self.wires[int(number)], json.loads(request.body))
            writer.write(plain("202 Accepted", "text/plain; charset=UTF-8", "Accepted"))


async def slow(peer: Peer) -> None:
    await asyncio.sleep(SLOW)
    await peer.text(peer.message["params"]["arguments"]["text"])


async def slower(peer: Peer) -> None:
    """A command's messages are dealt with one after the other: that a call was cancelled is heard when it has been answered."""
    await asyncio.sleep(2 * SLOW if peer.message["params"]["arguments"]["text"] == "1" else 0)
    await peer.text(peer.message["params"]["arguments"]["text"])


def empty_members(_: Running) -> Script:
    """Before 0.8: `_meta`, `params` and the `data` of an error are there, and empty; `jsonrpc` is in the middle, or last."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        if peer.form != "json":
            await peer.say('{"method":"notifications/tools/list_changed","params":{"_meta":{}},"jsonrpc":"2.0"}')
        if peer.message["params"]["arguments"]["text"] == "1":
            result = '{"content":[{"text":"raw","type":"text"}],"isError":false,"_meta":{}}'
            await peer.say(f'{{"id":{peer.id},"jsonrpc":"2.0","result":{result}}}')
        else:
            error = '{"code":-32603,"message":"java.lang.IllegalStateException: no","data":{}}'
            await peer.say(f'{{"id":{peer.id},"error":{error},"jsonrpc":"2.0"}}')
        return True

    return script


def asks_without_params(_: Running) -> Script:
    """A question with the id of a UUID without hyphens, and `params` of `_meta` alone."""
    waiting: dict[str, Peer] = {}
    id = "9f1c0d2e4b5a4c6d8e7f001122334455"

    async def script(peer: Peer) -> bool:
        if peer.tool is not None:
            waiting["call"] = peer
            await peer.say(f'{{"id":"{id}","method":"ping","params":{{"_meta":{{}}}},"jsonrpc":"2.0"}}')
            async with asyncio.timeout(5):
                while peer.form == "stream" and "answer" not in waiting:
                    await asyncio.sleep(0.01)
            if peer.form == "stream":
                await peer.text(json.dumps(waiting["answer"].message["result"]))
            return True
        if peer.id == id and not peer.method and "call" in waiting:
            waiting["answer"] = peer
            if peer.form != "stream":
                await waiting["call"].text(json.dumps(peer.message["result"]))
        return False

    return script


NO_ID = '{"error":{"code":-32000,"message":"%s"},"jsonrpc":"2.0"}'
"""Nulls are left out, so the errors of the transport have no id."""
LOST = {404: "Session not found", 400: "Bad Request: Server not initialized"}

ROWS = [
    OddServer("kotlin_events", events(ktor_event, before=b"data: \r\n\r\n"), forms=("stream",)),
    OddServer("kotlin_events", events(ktor_event), forms=("sse",)),
    OddServer("kotlin_endpoint", forms=("sse",), wires=KtorWires),
    OddServer("kotlin_endpoint_found", forms=("sse",), wires=KtorWires, server={"transport": "auto"}),
    OddServer("kotlin_taken_when_done", on_call(slow), ("sse",), two_at_once, wires=KtorWires),
    OddServer("kotlin_in_turn", on_call(slower), ("stdio",), one_given_up),
    OddServer("kotlin_empty_members", empty_members),
    OddServer("kotlin_asks_without_params", asks_without_params, PUSHING),
    *(
        OddServer(
            f"kotlin_lost_by_{status}", forgets(answer(status, (NO_ID % message).encode())), ("json",), three_calls, HEALED,
            check=two_sessions,
        )
        for status, message in LOST.items()
    ),
    OddServer("kotlin_notified_null", http(to_notifications(plain("202 Accepted", "application/json", "null"))), forms=HTTP),
    OddServer("kotlin_deleted_null", http(to("DELETE", plain("200 OK", "application/json", "null"))), forms=("json",)),
]
