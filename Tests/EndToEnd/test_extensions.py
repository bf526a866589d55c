"""Extensions of legacy servers (translation contract, sections 3 and 4): what is shown in discovery can be used."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness.audit import PREFIX
from harness.modern import Answer, Client, call, request
from harness.odd import ALL, OddServer, Peer, Running, Script
from harness.remora import Remora, configuration

SKILLS = "io.modelcontextprotocol/skills"
SKILL = rb'{"uri":"skill:\/\/a\/SKILL.md","frontmatter":{ "name":"a","description":"\u00e9" },"resources":[{"uri":"skill://a/SKILL.md","digest":"sha256:00","size":1}]}'
MISSING = "skill://missing/SKILL.md"


def extended(capabilities: dict[str, Any]) -> OddServer:
    """A server with the methods of the extension for skills, and of a vendor's."""

    def script(_: Running) -> Script:
        async def answer(peer: Peer) -> bool:
            params = peer.message.get("params", {})
            match peer.method:
                case "skills/list":
                    more = b',"nextCursor":"2"' if "cursor" not in params else b""
                    await say(peer, b'"skills":[' + SKILL + b"]" + more)
                case ("skills/get" | "resources/directory/read") if params["uri"] == MISSING:
                    await peer.error(-32002, "no such skill")
                case "skills/get":
                    await say(peer, b'"skill":' + SKILL + b',"ttlMs":"soon"')
                case "resources/directory/read":
                    await say(peer, b'"resources":[]')
                case "vendor.example/echo":
                    await say(peer, b'"heard":' + json.dumps(params).encode() + b',"n":1.0')
                case "vendor.example/progress":
                    told = {"progressToken": params["_meta"]["progressToken"], "progress": 1}
                    await peer.message_of(method="notifications/progress", params=told)
                    await say(peer, b'"done":true')
                case "vendor.example/fails":
                    await peer.error(-32002, "gone")
                case _:
                    return False
            return True

        return answer

    return OddServer("extended", script, capabilities={"tools": {}, "resources": {}, **capabilities})


async def say(peer: Peer, members: bytes) -> None:
    await peer.say(b'{"jsonrpc":"2.0","id":%d,"result":{' % peer.id + members + b"}}")


ALL_OF_THEM = {"extensions": {SKILLS: {"directoryRead": True}, "vendor.example/things": {}}}


@contextlib.asynccontextmanager
async def serving(form: str, capabilities: dict[str, Any]) -> AsyncIterator[tuple[Client, Running]]:
    async with contextlib.AsyncExitStack() as parts:
        running = await parts.enter_async_context(Running(extended(capabilities), form).run())
        text = configuration(running.backend, server={"era": "auto"}, cache={"ttl": "7s", "scope": "public"})
        remora = await parts.enter_async_context(Remora(text))
        yield await parts.enter_async_context(Client(remora.address)), running


def cached(answer: Answer) -> Any:
    assert answer.result["resultType"] == "complete"
    assert PREFIX + "serverInfo" in answer.result["_meta"]
    return answer.result.get("ttlMs"), answer.result.get("cacheScope")


@pytest.mark.parametrize("form", ALL)
async def test_skills(form: str) -> None:
    async with serving(form, ALL_OF_THEM) as (client, running):
        shown = (await client.send(request("server/discover"))).result["capabilities"]["extensions"]
        assert shown == ALL_OF_THEM["extensions"]
        first = await client.send(request("skills/list"))
        assert SKILL in first.messages[-1].encode() and cached(first) == (7000, "public")
        second = await client.send(request("skills/list", {"cursor": first.result["nextCursor"]}))
        assert "nextCursor" not in second.result
        got = await client.send(request("skills/get", {"uri": "skill://a/SKILL.md"}))
        assert SKILL in got.messages[-1].encode() and cached(got) == (0, "private")
        directory = await client.send(request("resources/directory/read", {"uri": "skill://a"}))
        assert cached(directory) == (None, None)
        for method in ("skills/get", "resources/directory/read"):
            missing = await client.send(request(method, {"uri": MISSING}))
            assert (missing.status, missing.code, missing.error["data"]) == (200, -32602, {"uri": MISSING})
            unnamed = await client.send(request(method))
            assert (unnamed.status, unnamed.code) == (200, -32602)
        assert running.methods["initialize"] == 1


@pytest.mark.parametrize("form", ALL)
async def test_methods_of_a_vendor(form: str) -> None:
    async with serving(form, ALL_OF_THEM) as (client, running):
        params = {"task": [1], "requestState": "mine", "name": "x"}
        heard = await client.send(request("vendor.example/echo", params, id="i"))
        assert heard.result["heard"] == params and cached(heard) == (None, None) and heard.json["id"] == "i"
        assert b'"n":1.0' in heard.messages[-1].encode()
        unknown = await client.send(request("vendor.example/unknown"))
        assert (unknown.status, unknown.code) == (404, -32601)
        failed = await client.send(request("vendor.example/fails"))
        assert (failed.status, failed.code, failed.error["data"]) == (200, -32603, {"legacyCode": -32002})
        named = await client.send(request("vendor.example/fails", {"uri": "a:b"}))
        assert (named.status, named.code, named.error["data"]) == (200, -32602, {"uri": "a:b"})
        assert (await client.send(call("x"))).text == "raw"


@pytest.mark.parametrize("form", ["stream", "stdio"])
async def test_progress_of_a_method_of_a_vendor(form: str) -> None:
    async with serving(form, ALL_OF_THEM) as (client, _):
        answer = await client.send(progressing())
        told = [json.loads(each) for each in answer.messages[:-1]]
        assert [each["params"] for each in told if "method" in each] == [{"progressToken": "mine", "progress": 1}]
        assert answer.result["done"] is True


def progressing() -> dict[str, Any]:
    message = request("vendor.example/progress", id=7)
    message["params"]["_meta"]["progressToken"] = "mine"
    return message


@pytest.mark.parametrize(
    ("capabilities", "there", "not_there"),
    [
        ({}, [], ["skills/list", "skills/get", "resources/directory/read", "vendor.example/echo"]),
        ({"extensions": {SKILLS: {}}}, ["skills/list"], ["resources/directory/read", "vendor.example/echo"]),
        ({"extensions": {SKILLS: True}}, ["skills/list"], ["resources/directory/read"]),
        ({"extensions": {PREFIX + "ui": {}}}, [], ["skills/list", "vendor.example/echo"]),
        ({"extensions": {PREFIX + "tasks": {}}}, [], ["tasks/get", "vendor.example/echo"]),
        ({"experimental": {"things": {}}}, ["vendor.example/echo"], ["skills/list"]),
    ],
)
async def test_what_is_not_shown_is_not_there(
    capabilities: dict[str, Any], there: list[str], not_there: list[str]
) -> None:
    async with serving("json", capabilities) as (client, running):
        shown = (await client.send(request("server/discover"))).result["capabilities"]
        for map in ("extensions", "experimental"):
            for name, settings in shown.get(map, {}).items():
                assert name != PREFIX + "tasks" and isinstance(settings, dict)
        for method in not_there:
            answer = await client.send(request(method, {"uri": "a:b"}))
            assert (answer.status, answer.code) == (404, -32601)
            assert method in answer.error["message"] and running.methods[method] == 0
        for method in there:
            assert (await client.send(request(method, {"uri": "a:b"}))).status == 200


async def test_methods_of_the_protocol_are_no_vendors() -> None:
    """A client does not reach into the session that Remora keeps."""
    methods = ["initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/list", "roots/list", "rpc.x"]
    async with serving("json", ALL_OF_THEM) as (client, running):
        await client.send(request("tools/list"))  # Opens the session.
        for method in methods:
            before = running.methods[method]
            answer = await client.send(request(method, {"uri": "raw:///r", "level": "debug"}))
            assert (answer.status, answer.code, running.methods[method]) == (404, -32601, before)


async def test_a_method_of_a_vendor_runs_once() -> None:
    """It is not known what a second run of it would do, whatever its parameters look like."""

    def script(_: Running) -> Script:
        async def answer(peer: Peer) -> bool:
            if peer.method == "tools/list":
                tool = {"name": "x", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
                await peer.result(tools=[tool])
                return True
            if peer.method == "vendor.example/once" and peer.exchange is not None:
                peer.exchange.abort()
                return True
            return False

        return answer

    row = OddServer("once", script, capabilities={"tools": {}, **ALL_OF_THEM})
    async with contextlib.AsyncExitStack() as parts:
        running = await parts.enter_async_context(Running(row, "json").run())
        remora = await parts.enter_async_context(Remora(configuration(running.backend)))
        client = await parts.enter_async_context(Client(remora.address))
        assert (await client.send(call("x"))).text == "raw"
        lost = await client.send(request("vendor.example/once", {"name": "x"}))
        assert (lost.status, lost.error["data"]["reason"]) == (200, "outcome_unknown")
        assert running.methods["vendor.example/once"] == 1
