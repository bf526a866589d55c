"""nginx before several Remoras, by the rules of docker/nginx.conf: what it does with a request whose replica is not there,
or goes away with it."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp
import pytest

from harness.modern import VERSION, Answer, Client, call
from harness.remora import Remora, configuration
from harness.replicas import Nginx, free_ports
from harness.schema import response_errors
from servers.raw import Exchange, RawBackend

UNKNOWN = {"reason": "outcome_unknown", "dispatched": True}
NOT_RUN = {"reason": "remora_unavailable", "dispatched": False}


class Replica(RawBackend):
    """In the place of a Remora: it answers, or goes away in the middle of something."""

    def __init__(self, then: str = "answer") -> None:
        super().__init__(self.act)
        self.then = then

    async def act(self, exchange: Exchange) -> bool:
        if self.then == "be silent":
            await asyncio.sleep(60)
        elif self.then == "say half of a head":
            exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
            await exchange.writer.drain()
        elif self.then == "answer":
            await exchange.json(exchange.response(b'{"resultType":"complete","content":[],"_meta":{}}'))
            return True
        exchange.writer.close()
        return True


def no_server() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


async def send(nginx: Nginx, message: dict[str, Any] | None = None) -> Answer:
    async with Client(nginx.address) as client:
        return await client.send(message or call("t"))


def expect(answer: Answer, status: int, data: dict[str, Any], *words: str) -> None:
    assert answer.status == status and answer.http.media_type == "application/json", answer
    assert not response_errors("tools/call", answer.json) and answer.json["id"] == 1
    assert answer.code == -32603 and answer.error["data"] == data
    assert all(word in answer.error["message"] for word in words), answer


async def test_who_refuses_is_passed_over() -> None:
    async with Replica() as there, Nginx(no_server(), there.address, no_server()) as nginx:
        answers = await asyncio.gather(*(send(nginx) for _ in range(30)))
        assert {answer.status for answer in answers} == {200} and len(there.requests) == 30


@pytest.mark.parametrize("then", ["close", "say half of a head", "be silent"])
async def test_what_was_sent_is_sent_once_and_said_to_be_unknown(then: str) -> None:
    async with Replica(then) as first, Replica(then) as second:
        async with Nginx(first.address, second.address, proxy_read_timeout="1s") as nginx:
            answer = await send(nginx)
            expect(answer, 502, UNKNOWN, "may or may not have run", "check before you call again", "requestState")
            assert len(first.requests) + len(second.requests) == 1


async def test_the_same_on_a_connection_that_was_used() -> None:
    async with Replica() as replica, Nginx(replica.address) as nginx, Client(nginx.address) as client:
        assert (await client.send(call("t"))).status == 200
        replica.then = "close"
        expect(await client.send(call("t")), 502, UNKNOWN)
        # The client's own connection goes on.
        replica.then = "answer"
        await asyncio.sleep(1.1)
        assert (await client.send(call("t"))).status == 200
        assert len(replica.requests) == 3


async def test_with_nobody_there_nothing_was_run() -> None:
    async with Nginx(no_server(), no_server(), no_server()) as nginx:
        for _ in range(3):
            expect(await send(nginx), 503, NOT_RUN, "Nothing was run", "Try again shortly")


HEAD = b'{"jsonrpc":"2.0",'
CALL = b'"method":"tools/call","params":{"name":"t","arguments":%s}'


@pytest.mark.parametrize(
    ("body", "id"),
    [
        (HEAD + b'"id":7,' + CALL % b"{}" + b"}", 7),
        (HEAD + b'"id" : "a b",' + CALL % b"{}" + b"}", "a b"),
        (b"{" + CALL % b'{"id":5}' + b',"jsonrpc":"2.0","id":-7}', -7),
        (b"{ " + CALL % b"{}" + b', "jsonrpc": "2.0", "id": "x" }\n', "x"),
        # It stands elsewhere, or needs to be read: none is better than a wrong one.
        (HEAD + CALL % b'{"id":5}' + b"}", None),
        (b"{" + CALL % b"{}" + b',"id":7,"jsonrpc":"2.0"}', None),
        (HEAD + b'"id":"\\u0041",' + CALL % b"{}" + b"}", None),
        (HEAD + b'"id":7,' + CALL % (b'{"x":"%s"}' % (b"x" * 100_000)) + b"}", None),
    ],
)
async def test_the_error_has_the_id_of_the_request(body: bytes, id: int | str | None) -> None:
    async with Nginx(no_server()) as nginx, Client(nginx.address) as client:
        answer = await client.send(body)
        assert answer.status == 503 and not response_errors("tools/call", answer.json), answer
        assert answer.json.get("id") == id


async def test_a_request_that_is_too_large() -> None:
    async with Replica() as replica, Nginx(replica.address) as nginx:
        answer = await send(nginx, call("t", {"x": "x" * (9 << 20)}))
        assert answer.status == 413 and answer.http.media_type == "application/json"
        assert not response_errors(None, answer.json) and "max_body" in answer.error["message"]
        assert not replica.requests


async def test_an_error_of_remora_passes_as_it_is() -> None:
    text = configuration(f"http://{no_server()}/mcp")
    async with Remora(text) as remora, Nginx(remora.address) as nginx:
        answer = await send(nginx)
        assert answer.status == 503 and answer.error["data"]["reason"] == "backend_unavailable"
        assert answer.json["id"] == 1


async def test_the_published_client_reads_it() -> None:
    async with Replica("close") as replica, Nginx(replica.address) as nginx:
        async with mcp.Client(f"http://{nginx.address}/mcp", mode=VERSION) as client:
            with pytest.raises(mcp.MCPError, match="may or may not have run") as raised:
                await client.call_tool("t", {})
            assert raised.value.error.data == UNKNOWN
