"""Answers that are forwarded stay what the server made of them: one head, and just the bytes that it announces. Whatever
else were written there would be taken for another request's answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness import http1
from harness.http1 import Connection
from harness.modern import Answer, call, encode
from harness.remora import Remora, configuration
from servers.raw import Exchange, RawBackend
from test_legacy_clients import PASS, legacy
from test_modern_backends import Raw


class Turning(Raw):
    """A legacy server that turns modern, knows no session from then on, and takes its time for calls."""

    async def __call__(self, exchange: Exchange) -> bool:
        if self.era == "modern" and (exchange.session or exchange.method == "initialize"):
            await exchange.reply(404 if exchange.session else 400, exchange.error(-32600, "no sessions"))
            return True
        if self.era == "modern" and exchange.method == "tools/call":
            await asyncio.sleep(0.5)
        return await super().__call__(exchange)


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {"form": {}}}], ids=["a plain call", "one that may be asked"])
async def test_a_slow_answer_that_is_passed_on_after_all_has_one_head(capabilities: Any) -> None:
    """A request that finds no session, because its server has turned modern, is passed on. From then on the answer is the
    server's: Remora adds no sign of life to it however long it takes, and the next answers on the connection are whole."""
    script = Turning()
    limits = {"keep_alive_interval": "200ms"}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, server={"era": "auto"}, limits=limits)) as remora:
        async with await Connection.open(remora.address) as connection:

            async def answer(id: str) -> Answer:
                message = call("x", id=id, clientCapabilities=capabilities)
                return Answer(await connection.exchange(encode(message, host=remora.address)))

            assert (await answer("first")).text == "raw"
            script.era = "modern"
            await asyncio.sleep(1.1)  # Questions out of turn are a second apart.
            for id in ("second", "third"):
                passed = await answer(id)
                assert passed.http.media_type == "application/json", passed
                assert (passed.json["id"], passed.text) == (id, "new")
            elsewhere = await connection.exchange(encode(call("x"), host=remora.address, target="/nowhere"))
            assert elsewhere.status == 404


async def test_a_stream_that_ends_short_of_its_length_takes_its_connection_with_it() -> None:
    """A reload that changes the server ends the streams that are forwarded. Where one has said how long it will be and bytes of it are missing,
    the connection ends too: an answer that followed would count as those bytes."""

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000\r\n\r\n"
        await exchange.raw(head + b"data: x\n\n")
        await asyncio.sleep(60)
        return True

    async with RawBackend(script) as raw, Remora(configuration(raw.url, **PASS)) as remora:
        async with await Connection.open(remora.address) as connection:
            await connection.send(legacy(b"", method="GET", host=remora.address))
            async with asyncio.timeout(5):
                head = await http1.read_head(connection.reader)
                assert head is not None and head.header("content-length") == "1000"
                assert await connection.reader.readexactly(9) == b"data: x\n\n"
            await remora.reload(configuration(raw.url, server={"annotations": "ignore"}, **PASS))
            await connection.send(legacy({"jsonrpc": "2.0", "id": 2, "method": "ping"}, host=remora.address))
            assert await connection.closed_by_peer(5), "an answer in the place of the rest of the stream"
