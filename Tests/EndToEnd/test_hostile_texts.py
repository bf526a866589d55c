"""Texts of either side that are long, large or many: the answer holds the right bytes, the process goes on, and no share of
memory or of time is taken that others would miss."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from harness.modern import Client, call, request
from harness.remora import Remora, configuration
from harness.stack import stack
from servers.raw import Exchange, RawBackend
from servers.wires import FORMS, Wire, Wires, text

MEBIBYTE = 1 << 20
SIZES = [10, 4095, 4096, 4200, 30_000, 100_000]
"""Of ids: around the 4 KiB of a head, and far above."""


async def refuse_to_read(exchange: Exchange) -> bool:
    """Says in its error, more than once, which resource it does not have."""
    if exchange.method not in ("resources/read", "prompts/get"):
        return False
    uri = exchange.message["params"].get("uri") or exchange.message["params"]["name"]
    code = -32002 if exchange.method == "resources/read" else -32602
    await exchange.json(exchange.error(code, f"no such resource: {uri}", uri=uri, said=[uri] * 2))
    return True


@pytest.mark.parametrize("uri_size", [100, 5000])
async def test_an_error_repeats_the_uri_of_a_request_with_a_long_id(uri_size: int) -> None:
    uri = "raw:///" + "u" * uri_size
    async with RawBackend(refuse_to_read) as raw, stack(raw.address) as running:
        for size in SIZES * 2:
            answer = await running.client.send(request("resources/read", {"uri": uri}, id="i" * size))
            assert answer.json["id"] == "i" * size
            assert answer.error == {
                "code": -32602,
                "message": f"no such resource: {uri}",
                "data": {"uri": uri, "said": [uri] * 2},
            }
        assert (await running.client.call("x", {})).status == 200


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "exclusive"])
@pytest.mark.parametrize("form", FORMS)
async def test_an_error_repeats_much_of_a_request_with_a_long_id_on_one_wire(form: str, can: dict[str, Any]) -> None:
    """The text that is spliced came in a line, or in an event, with others behind it."""

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") not in ("tools/call", "prompts/get"):
            return False
        said = message["params"]["arguments"]["text"]
        more = {"method": "notifications/message", "params": {"level": "info", "data": said}}
        if message["method"] == "prompts/get":
            wire.say({"id": message["id"], "error": {"code": -32602, "message": f"no {said}", "data": {"said": [said] * 2}}}, more)
        else:
            wire.say({"id": message["id"], "result": {"_meta": {"a": said}, **text(said), "inputRequests": {}}}, more)
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora, Client(remora.address) as client:
        for size in SIZES:
            for said in ("s" * 100, "s" * 5000):
                id, params = "i" * size, {"name": "p", "arguments": {"text": said}}
                answer = await client.send(request("prompts/get", params, id=id, clientCapabilities=can))
                assert answer.json["id"] == id
                assert answer.error == {"code": -32602, "message": f"no {said}", "data": {"said": [said] * 2}}
                answer = await client.send(call("x", {"text": said}, id=id, clientCapabilities=can))
                assert answer.json["id"] == id
                assert answer.text == said and answer.result["_meta"]["a"] == said


@pytest.mark.parametrize("can", [{}, {"elicitation": {}}], ids=["shared", "exclusive"])
async def test_results_and_errors_of_calls_with_a_long_id(can: dict[str, Any]) -> None:
    long = "t" * 5000

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            result = {"_meta": {"a": long}, **text(long), "inputRequests": {}}
            await exchange.json(exchange.response(json.dumps(result).encode()))
            return True
        return await refuse_to_read(exchange)

    async with RawBackend(script) as raw, stack(raw.address) as running:
        for size in SIZES:
            answer = await running.client.send(call("x", id="i" * size, clientCapabilities=can))
            assert answer.json["id"] == "i" * size
            assert answer.text == long and answer.result["_meta"]["a"] == long
            answer = await running.client.send(request("prompts/get", {"name": "p"}, id="j" * size, clientCapabilities=can))
            assert (answer.json["id"], answer.error["data"]["uri"]) == ("j" * size, "p")


async def test_capabilities_are_declared_in_so_many_bytes() -> None:
    extensions = {"com.example/x": {"text": "x" * 16_000}}
    async with RawBackend() as raw, stack(raw.address) as running:
        assert (await running.client.send(call("x", clientCapabilities={"extensions": extensions}))).text == "raw"
        extensions["com.example/y"] = {"text": "y" * 1000}
        answer = await running.client.send(call("x", clientCapabilities={"extensions": extensions}))
        assert (answer.status, answer.code) == (400, -32602)
        assert "16384 bytes" in answer.error["message"] and "Declare less" in answer.error["message"]


def large_capabilities(number: int, size: int) -> bytes:
    """A call whose capabilities are so large, and like no other's."""
    small = json.dumps(call("x", id=number, clientCapabilities={"extensions": {"x": {"CAPABILITIES": 0}}}))
    members = ",".join(f'"{number}-{index}":"{"c" * 1000}"' for index in range(size // 1010))
    return small.replace('"CAPABILITIES": 0', members).encode()


async def test_what_many_clients_declare_is_not_kept() -> None:
    async with RawBackend() as raw, stack(raw.address, limits={"max_body": "8MiB"}) as running:
        assert (await running.client.call("x", {})).text == "raw"
        for number in range(3):
            await running.client.send(large_capabilities(number, 7 * MEBIBYTE), of=call("x"))
        before = running.remora.resident()
        for number in range(3, 23):
            answer = await running.client.send(large_capabilities(number, 7 * MEBIBYTE), of=call("x"))
            assert answer.code == -32602
        # Twenty of them kept would be 140 MiB.
        assert running.remora.resident() - before < 60 * MEBIBYTE


@pytest.mark.parametrize("place", ["params", "message"])
async def test_a_message_has_few_members(place: str) -> None:
    message = json.dumps(call("x") | ({"MEMBERS": 0} if place == "message" else {}))
    if place == "params":
        message = message.replace('"arguments"', '"MEMBERS": 0, "arguments"')
    members = ",".join(f'"m{index}":0' for index in range(5000))
    async with RawBackend() as raw, stack(raw.address) as running:
        answer = await running.client.send(message.replace('"MEMBERS": 0', members).encode(), of=call("x"))
        assert (answer.status, answer.code) == (400, -32600)
        assert "members" in answer.error["message"]
        # Arguments have as many as they like.
        assert (await running.client.call("x", {f"m{index}": 0 for index in range(5000)})).text == "raw"


async def test_a_token_of_progress_and_the_id_of_a_listener_are_short() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        message = call("x")
        message["params"]["_meta"]["progressToken"] = "p" * 1100
        answer = await running.client.send(message)
        assert (answer.status, answer.code) == (200, -32602) and "progressToken" in answer.error["message"]
        listen = request("subscriptions/listen", {"notifications": {}}, id="i" * 1100)
        answer = await running.client.send(listen)
        assert answer.code == -32602 and "1024 bytes" in answer.error["message"]
        uris = [f"raw:///{number}/{'u' * 1000}" for number in range(300)]
        listen = request("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
        answer = await running.client.send(listen)
        assert answer.code == -32602 and "Listen to fewer" in answer.error["message"]


async def test_what_deceives_does_not_reach_the_log_as_it_is() -> None:
    name = "a\u202eb\u2066c\u200bd\u061ce\u2028f\u009bg\ufeffh"
    async with RawBackend() as raw, stack(raw.address) as running:
        await running.client.call(name, {})
        lines = await asyncio.wait_for(seen(running.remora.process.lines, "g\\ufeffh"), 10)
    assert not any(character in line for line in lines for character in name if not character.isascii())


async def seen(lines: list[str], word: str) -> list[str]:
    """The lines, once one of them has this in it."""
    while not any(word in line for line in lines):
        await asyncio.sleep(0.02)
    return list(lines)
