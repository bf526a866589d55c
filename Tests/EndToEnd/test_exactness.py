"""What Remora does not have to change goes through byte for byte, in both directions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from harness.modern import Client, call, request
from harness.stack import stack
from servers.raw import Exchange, RawBackend

EXACT = (
    rb'{"z":12345678901234567890123,"a":1.0,"e":-1E+400,"m":{"b":1,"a":2},"t":"\u00e9\/\ud83d\udc1f",'
    b'"r":"\xc3\xa9\xe2\x80\xa8", "s" : [ 1 ,\t2 ],"deep":[[[{"":null}]]],"d":0.1000}'
)
"""An object that every careless parser spoils: big numbers, escapes, spaces, the order of members."""

ARGUMENTS = EXACT.decode()
CONTENT = rb'[{"type":"text","text":"\u00e9 \/ \u2028","annotations":{"priority":1.0}} , {"text":"2","type":"text"}]'


def raw_call(arguments: str, id: str = "1") -> bytes:
    """A call whose arguments are these exact characters."""
    message = json.dumps(call("x", {"ARGUMENTS": 0}, id="ID"))
    return message.replace('{"ARGUMENTS": 0}', arguments).replace('"ID"', id).encode()


async def test_arguments_reach_the_backend_unchanged() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        await running.client.send(raw_call(ARGUMENTS), of=call("x"))
    assert b'"arguments":' + EXACT in raw.received or b'"arguments": ' + EXACT in raw.received


@pytest.mark.parametrize("framing", ["json", "crlf", "lf", "cr", "bytewise", "lines", "until-close"])
async def test_a_result_reaches_the_client_unchanged(framing: str) -> None:
    result = b'{"content":%s,"structuredContent":%s,"isError":false,"x-vendor":1.50}' % (CONTENT, EXACT)

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        message = exchange.response(result)
        match framing:
            case "json":
                await exchange.json(message)
            case "crlf" | "lf" | "cr":
                await exchange.sse(message, newline={"crlf": b"\r\n", "lf": b"\n", "cr": b"\r"}[framing])
            case "bytewise":
                await exchange.sse(message, bytewise=True)
            case "lines":
                await exchange.sse(message.replace(b',"result":', b',\n"result":\n'))
            case "until-close":
                await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + message)
                exchange.close()
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
    for part in (b'"content":' + CONTENT, b'"structuredContent":' + EXACT, b'"x-vendor":1.50'):
        assert part in answer.raw, answer
    assert answer.result["resultType"] == "complete"


async def test_a_listed_tool_is_unchanged() -> None:
    schema = rb'{"type":"object","properties":{"n":{"maximum":1e400,"title":"\u00e9","default":1.0}},"required":[] }'
    tool = b'{"name":"x","title":"\\/","inputSchema":' + schema + b',"_meta":{"a":1.0},"x-vendor":[1.0]}'
    async with RawBackend(results={"tools/list": b'{"tools":[' + tool + b"]}"}) as raw:
        async with stack(raw.address) as running:
            answer = await running.client.send(request("tools/list"))
    assert tool in answer.raw


async def test_data_of_an_error_is_unchanged() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        message = exchange.error(-32001, "no").replace(b'"message": "no"', rb'"message":"n\u00f3","data":' + EXACT)
        await exchange.json(message)
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        answer = await running.client.call("x")
    assert answer.code == -32001 and answer.error["message"] == "nó"
    assert b'"data":' + EXACT in answer.raw


IDS = ["0", "-1", "1", str(2**53 + 1), str(2**63), "-9" + "0" * 40, '""', '"0"', '"é\u2028🐟"']
IDS += [r'"\u0061\"\\\/\n"', r'"\ud83d\udc1f"', '"' + "x" * 2000 + '"']


@pytest.mark.parametrize("id", IDS, ids=[id[:20] for id in IDS])
async def test_an_id_comes_back_unchanged(id: str) -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        answered = await running.client.send(raw_call("{}", id), of=call("x"))
        refused = await running.client.send(raw_call("{}", id), of=call("x"), Mcp_Name="y")
    assert answered.json["id"] == refused.json["id"] == json.loads(id)
    assert type(answered.json["id"]) is type(json.loads(id))
    assert (answered.status, refused.status, refused.code) == (200, 400, -32020)
    assert all(b'"id":' + id.encode() in answer.raw.replace(b'": ', b'":') for answer in (answered, refused))


async def test_two_calls_with_one_id_do_not_meet() -> None:
    """Ids belong to a connection's client, and clients do not know of each other."""
    held: list[Exchange] = []

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        held.append(exchange)
        if len(held) == 2:
            for each in reversed(held):
                text = json.dumps(each.message["params"]["arguments"]["text"]).encode()
                await each.json(each.response(b'{"content":[{"type":"text","text":' + text + b"}]}"))
        return True

    async def one(address: str, text: str) -> Any:
        async with Client(address) as client:
            return (await client.call("x", {"text": text}, id=1)).text

    async with RawBackend(script) as raw, stack(raw.address) as running:
        found = await asyncio.gather(one(running.front.address, "a"), one(running.front.address, "b"))
    assert found == ["a", "b"]
    assert len({exchange.message["id"] for exchange in held}) == 2
