"""Sessions that clients open, name in their calls, and close (translation contract, section 14; decision 0052)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import mcp
import pytest

from harness import lab as lab_server
from harness.http1 import Connection
from harness.lab import AnyLab, Lab, record
from harness.listener import Listener
from harness.modern import VERSION, Answer, Client, call, encode, request
from harness.processes import SERVERS
from harness.remora import Remora, configuration
from harness.replicas import Replicas
from harness.stack import Stack, settles, stack
from servers.asking import Asking, Running
from servers.raw import Exchange, PushBackend, RawBackend, event, notification
from test_admin import metrics
from test_commands import children
from test_modern_backends import DISCOVERED
from test_tasks import until as until_task

ON = {"handles": "optional"}
ELICITS = {"elicitation": {"form": {}}}
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
KEY = "dev.remora/session"
TEXT = re.compile(r"session_handle: (v1\.[A-Za-z0-9_-]+)$", re.M)


async def send(address: str, message: dict[str, Any], token: str | None = None, **options: Any) -> Answer:
    """Each on a connection of its own, as a client may."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with Client(address) as client:
        # A command may take its time to start.
        return await client.send(message, timeout=60, **headers, **options)


async def open_session(address: str, token: str | None = None, name: str = "open_session", **meta: Any) -> str:
    """The handle, copied from the text as a model does."""
    answer = await send(address, call(name, **meta), token)
    assert not answer.result.get("isError"), answer
    handle, = TEXT.findall(answer.text)
    assert answer.result["structuredContent"]["session_handle"] == handle
    return handle


async def use(address: str, tool: str, handle: str | None, token: str | None = None, meta: Any = None, **arguments: Any) -> Answer:
    given = arguments if handle is None else {**arguments, "session_handle": handle}
    return await send(address, call(tool, given, **(meta or {})), token)


def named(message: dict[str, Any], handle: Any) -> dict[str, Any]:
    """The same request with a handle in `_meta`."""
    message["params"]["_meta"][KEY] = handle
    return message


def is_gone(answer: Answer) -> bool:
    return answer.result.get("isError") is True and "open_session" in answer.text and "names no open session" in answer.text


# With published servers and clients


async def test_two_conversations_of_one_caller(lab: str) -> None:
    """Each has a state of its own, beside the one that calls without a handle share."""
    before = (await record(lab))["methods"]
    async with stack(lab, sessions=ON, judge_back=True) as running, mcp.Client(running.url, mode=VERSION) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["open_session"].output_schema["required"] == ["session_handle", "expires_at"]
        assert "session_handle" in tools["counter"].input_schema["properties"]
        opened = await client.call_tool("open_session", {"label": "cart"})
        assert "(cart)" in opened.content[0].text and "30 minutes" in opened.content[0].text
        first, = TEXT.findall(opened.content[0].text)
        assert opened.structured_content["session_handle"] == first and len(first) <= 128
        second = (await client.call_tool("open_session")).structured_content["session_handle"]

        async def count(**arguments: Any) -> str:
            return (await client.call_tool("counter", arguments)).content[0].text

        seen = [await count(session_handle=first), await count(session_handle=second), await count(session_handle=first)]
        assert seen == ["1", "1", "2"]
        assert [await count(), await count(session_handle=second), await count(session_handle=first)] == ["1", "2", "3"]
        closed = await client.call_tool("close_session", {"session_handle": first})
        assert not closed.is_error
        gone = await client.call_tool("counter", {"session_handle": first})
        assert gone.is_error and "open_session" in gone.content[0].text
        assert await count(session_handle=second) == "3"
        for message in await running.backend_messages("tools/call"):
            assert "session_handle" not in message["params"]["arguments"]
    deleted = (await record(lab))["methods"].get("DELETE", 0) - before.get("DELETE", 0)
    assert deleted in (0, 3)  # Some versions of its record count them by another name.


async def test_off_by_default() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        listed = (await running.client.send(request("tools/list"))).result["tools"]
        assert listed == [{"name": "x", "inputSchema": {"type": "object"}}]
        await running.client.send(named(call("x", {"session_handle": "abc"}), "abc"))
        sent, = await running.backend_messages("tools/call")
        assert sent["params"]["arguments"] == {"session_handle": "abc"} and sent["params"]["_meta"] == {KEY: "abc"}


async def test_two_hundred_calls_at_once(lab: str) -> None:
    async with stack(lab, sessions=ON) as running:
        handles = [await open_session(running.front.address) for _ in range(2)]
        for handle in handles:
            await use(running.front.address, "keep", handle, text=handle[-8:])
        calls = [use(running.front.address, tool, handles[number % 2]) for number in range(100) for tool in ("kept", "counter")]
        answers = await asyncio.gather(*calls)
        for number in range(100):
            assert answers[2 * number].text == handles[number % 2][-8:]
        for which in range(2):
            counted = sorted(int(answers[2 * number + 1].text) for number in range(which, 100, 2))
            assert counted == list(range(1, 51))
        assert (await use(running.front.address, "kept", None)).text == "nothing"


async def test_the_server_restarts() -> None:
    """A handle says so, again and again; a call without one goes on in a new session."""
    async with Lab() as lab, stack(lab.address, sessions=ON, admin={"address": "127.0.0.1:0"}) as running:
        handle = await open_session(running.front.address)
        assert (await use(running.front.address, "counter", handle)).text == "1"
        assert (await use(running.front.address, "counter", None)).text == "1"
        await lab.kill()
        await lab.start()
        for _ in range(2):
            assert is_gone(await use(running.front.address, "counter", handle))
        assert (await use(running.front.address, "counter", None)).text == "1"
        assert (await use(running.front.address, "counter", await open_session(running.front.address))).text == "1"
        admin = (await running.remora.process.event("admin_listening"))["address"]
        page = await metrics(admin)
        assert page.value("remora_handles_ended_total", reason="lost") == 1 and page.total("remora_handles") == 1


async def test_tools_that_only_one_session_has(lab: str) -> None:
    """The list is the union of all."""
    async with stack(lab, sessions=ON) as running:
        handle = await open_session(running.front.address)
        await running.client.send(request("tools/list"))
        await use(running.front.address, "keep", handle, text="mine")
        await asyncio.sleep(0.3)
        tools = [tool["name"] for tool in (await running.client.send(request("tools/list"))).result["tools"]]
        assert tools.count("own-mine") == 1 and tools.count("open_session") == 1 and len(set(tools)) == len(tools)
        await use(running.front.address, "close_session", handle)
        tools = [tool["name"] for tool in (await running.client.send(request("tools/list"))).result["tools"]]
        assert "own-mine" not in tools


async def test_listeners_hear_of_changes_in_every_session() -> None:
    async with PushBackend() as raw, stack(raw.address, server={"era": "legacy"}, sessions=ON) as running:
        async with Listener(running.front.address, toolsListChanged=True) as listener:
            await raw.until(lambda _: len(raw.streams) == 1)
            before = set(raw.streams)
            await open_session(running.front.address)
            await raw.until(lambda _: len(raw.streams) == 2)
            own, = set(raw.streams) - before
            await raw.streams[own].chunk(event(notification("tools/list_changed")))
            assert await listener.notice() == "tools/list_changed"


# What goes to the server


async def test_meta_names_a_handle_for_everything() -> None:
    async with RawBackend() as raw, stack(raw.address, server={"era": "legacy"}, sessions=ON) as running:
        address = running.front.address
        handle, other = await open_session(address), await open_session(address)
        messages = [
            request("prompts/get", {"name": "p", "arguments": {"session_handle": "the prompt's"}}),
            request("resources/read", {"uri": "raw:///r"}), request("prompts/list"), request("resources/list"),
            request("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}),
            call("x", {"a": 1}), call("x", {"a": 1, "session_handle": other}),
        ]
        for message in messages:
            assert (await send(address, named(message, handle))).status == 200
        by_method: dict[str, set[str | None]] = {}
        for each in raw.requests:
            if each.body and (method := json.loads(each.body).get("method")):
                by_method.setdefault(method, set()).add(each.header("mcp-session-id"))
        one, = by_method["prompts/get"]
        for method in ("resources/read", "prompts/list", "resources/list", "completion/complete", "tools/call"):
            assert by_method[method] == {one}, method
        for message in await running.backend_messages():
            assert KEY not in json.dumps(message)
        prompt, = await running.backend_messages("prompts/get")
        assert prompt["params"]["arguments"] == {"session_handle": "the prompt's"}
        assert [each["params"]["arguments"] for each in await running.backend_messages("tools/call")] == [{"a": 1}] * 2
        # Some models leave an argument out so.
        assert (await send(address, call("x", {"a": 2, "session_handle": None}))).text == "raw"
        assert json.loads(raw.requests[-1].body)["params"]["arguments"] == {"a": 2}
        assert raw.requests[-1].header("mcp-session-id") != one
        # What is no result of a tool is an error.
        for wrong in ("nonsense", 7, None):
            answer = await send(address, named(request("prompts/get", {"name": "p"}), wrong))
            assert answer.code == -32602 and "open_session" in answer.error["message"]


SCHEMAS: dict[str, Any] = {
    "closed": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
    "referenced": {"type": "object", "$ref": "#/$defs/a", "$defs": {"a": {"additionalProperties": False}}},
    "composed": {"type": "object", "allOf": [{"properties": {"a": {}}, "additionalProperties": False}]},
    "owner": {"type": "object", "properties": {"session_handle": {"type": "string"}}},
}


async def test_schemas_and_names_that_collide() -> None:
    tools = [{"name": name, "inputSchema": schema} for name, schema in SCHEMAS.items()]
    tools += [{"name": "open_session", "inputSchema": {"type": "object"}}]
    results = {"tools/list": json.dumps({"tools": tools}).encode()}
    async with RawBackend(results=results) as raw, stack(raw.address, server={"era": "legacy"}, sessions=ON) as running:
        address = running.front.address
        listed = {tool["name"]: tool for tool in (await running.client.send(request("tools/list"))).result["tools"]}
        assert list(listed)[:2] == ["remora_open_session", "remora_close_session"]
        assert set(listed["closed"]["inputSchema"]["properties"]) == {"a", "session_handle"}
        assert "remora_open_session" in listed["closed"]["inputSchema"]["properties"]["session_handle"]["description"]
        for name in ("referenced", "composed", "owner"):
            assert listed[name]["inputSchema"] == SCHEMAS[name]
        # Each name means what it says in the list.
        assert (await send(address, call("open_session", {"a": 1}))).text == "raw"
        handle = await open_session(address, name="remora_open_session")
        for tool, argument in (("closed", handle), ("owner", handle), ("owner", "own"), ("referenced", handle)):
            assert (await use(address, tool, argument)).text == "raw"
        assert (await send(address, named(call("owner", {"session_handle": "own"}), handle))).text == "raw"
        assert (await use(address, "remora_close_session", handle)).text == "The session is closed."
        calls = [each for each in raw.requests if b'"tools/call"' in each.body]
        sent = [json.loads(each.body)["params"]["arguments"] for each in calls]
        own = [{"session_handle": handle}, {"session_handle": "own"}]
        assert sent == [{"a": 1}, {}, *own, {}, {"session_handle": "own"}]
        sessions = [each.header("mcp-session-id") for each in calls]
        # Its own argument names no session of Remora's.
        assert sessions[0] == sessions[2] == sessions[3] and sessions[1] == sessions[4] == sessions[5] != sessions[0]


async def test_required() -> None:
    async with RawBackend() as raw, stack(raw.address, server={"era": "legacy"}, sessions={"handles": "required"}) as running:
        address = running.front.address
        listed = {tool["name"]: tool for tool in (await running.client.send(request("tools/list"))).result["tools"]}
        assert listed["x"]["inputSchema"]["required"] == ["session_handle"]
        refused = await use(address, "x", None)
        assert refused.result["isError"] is True and "open_session" in refused.text
        assert raw.methods["tools/call"] == 0
        handle = await open_session(address)
        assert (await use(address, "x", handle)).text == "raw"
        assert (await send(address, named(call("x"), handle))).text == "raw"
        # Nothing else needs one.
        assert (await send(address, request("prompts/get", {"name": "p"}))).status == 200


# Whose it is, and how long it lives


async def test_one_answer_for_every_handle_that_is_none() -> None:
    async with RawBackend() as raw, stack(raw.address, server={"era": "legacy"}, sessions=ON) as running:
        address = running.front.address
        handle, closed = await open_session(address, "ada"), await open_session(address, "ada")
        await use(address, "close_session", closed, "ada")
        changed = handle[:-1] + ("A" if handle[-1] != "A" else "B")
        before = raw.methods["tools/call"]
        answers = [await use(address, "x", handle, "bob"), await use(address, "x", handle), await use(address, "x", closed, "ada")]
        answers += [await use(address, "x", wrong, "ada") for wrong in (changed, "", "x" * 70_000, handle + "=")]
        answers += [await send(address, call("x", {"session_handle": wrong}), "ada") for wrong in (7, [], {"a": handle})]
        answers += [await use(address, "close_session", wrong, "ada") for wrong in (closed, "nonsense", None)]
        answers += [await use(address, "close_session", handle, "bob")]
        assert all(is_gone(answer) for answer in answers), answers
        assert len({answer.text for answer in answers}) == 1
        assert raw.methods["tools/call"] == before
        assert (await use(address, "x", handle, "ada")).text == "raw"


async def test_idle_and_old_ones_end() -> None:
    short = ON | {"handle_idle_timeout": "1s", "idle_timeout": "1h"}
    async with RawBackend() as raw:
        async with stack(raw.address, server={"era": "legacy"}, sessions=short, admin={"address": "127.0.0.1:0"}) as running:
            address = running.front.address
            handle, idle = await open_session(address), await open_session(address)
            for _ in range(4):
                await asyncio.sleep(0.6)
                assert (await use(address, "x", handle)).text == "raw"
            # The one that all calls share has another time.
            assert is_gone(await use(address, "x", idle)) and raw.methods["DELETE"] == 1
            admin = (await running.remora.process.event("admin_listening"))["address"]
            assert (await metrics(admin)).value("remora_handles_ended_total", reason="idle") == 1
        async with stack(
            raw.address, server={"era": "legacy"}, sessions=ON | {"handle_max_age": "2s"}, admin={"address": "127.0.0.1:0"}
        ) as running:
            address = running.front.address
            handle = await open_session(address)
            deleted, end = raw.methods["DELETE"], time.monotonic() + 10
            while not is_gone(await use(address, "x", handle)):
                assert time.monotonic() < end
                await asyncio.sleep(0.2)
            await raw.until(lambda _: raw.methods["DELETE"] == deleted + 1)
            admin = (await running.remora.process.event("admin_listening"))["address"]
            page = await metrics(admin)
            assert page.value("remora_handles_ended_total", reason="age") == 1 and page.total("remora_handles") == 0


async def test_places() -> None:
    """They count among the sessions, make no room for others, and one caller has so many."""
    limits = ON | {"max": 4, "max_per_principal": 3, "max_handles_per_principal": 2}
    async with RawBackend() as raw:
        async with stack(raw.address, server={"era": "legacy"}, sessions=limits, admin={"address": "127.0.0.1:0"}) as running:
            address = running.front.address
            handles = [await open_session(address, "ada") for _ in range(2)]
            refused = await send(address, call("open_session"), "ada")
            assert refused.result["isError"] is True and "max_handles_per_principal" in refused.text
            # Each of these callers wants a session, and takes that of another one.
            for caller in ("bob", "eve", "joe", "ada", "bob"):
                assert (await use(address, "x", None, caller)).text == "raw"
            for handle in handles:
                assert (await use(address, "x", handle, "ada")).text == "raw"
            await use(address, "close_session", handles[0], "ada")
            await open_session(address, "ada")
            admin = (await running.remora.process.event("admin_listening"))["address"]
            page = await metrics(admin)
            assert page.total("remora_handles") == 2 and page.total("remora_handles_opened_total") == 3
            assert page.value("remora_handles_ended_total", reason="closed") == 1
            assert page.total("remora_handles_ended_total") == 1 and page.total("remora_handles_refused_total") == 1


async def test_reloads() -> None:
    async with RawBackend() as raw, RawBackend() as other:
        changes: dict[str, Any] = {"server": {"era": "legacy"}, "admin": {"address": "127.0.0.1:0"}}
        text = configuration(raw.url, sessions=ON, **changes)
        async with Remora(text) as remora:
            handle = await open_session(remora.address)
            await remora.reload(configuration(raw.url, sessions=ON | {"idle_timeout": "1m"}, **changes))
            assert (await use(remora.address, "x", handle)).text == "raw"
            await remora.reload(configuration(other.url, sessions=ON, **changes))
            assert is_gone(await use(remora.address, "x", handle))
            await raw.until(lambda _: raw.methods["DELETE"] >= 1)
            second = await open_session(remora.address)
            await remora.reload(configuration(other.url, sessions={"handles": "off"}, **changes))
            assert (await use(remora.address, "x", second)).text == "raw"  # Its argument is the server's now.
            await other.until(lambda _: other.methods["DELETE"] >= 1)
            page = await metrics((await remora.process.event("admin_listening"))["address"])
            assert page.value("remora_handles_ended_total", reason="reload") == 2
            assert page.total("remora_handles_ended_total") == 2 and page.total("remora_handles") == 0


async def test_a_client_that_leaves_while_its_session_is_opened() -> None:
    """No other has its name, so that it is closed at once."""
    gate = asyncio.Event()

    async def slow(exchange: Exchange) -> bool:
        if exchange.method == "initialize" and len(raw.issued) == 1:
            await gate.wait()
        return False

    async with RawBackend(slow) as raw:
        async with stack(raw.address, server={"era": "legacy"}, sessions=ON, admin={"address": "127.0.0.1:0"}) as running:
            address = running.front.address
            assert (await use(address, "x", None)).text == "raw"
            async with await Connection.open(address) as connection:
                await connection.send(encode(call("open_session"), host=address))
                await raw.until(lambda _: raw.methods["initialize"] == 2)
                connection.abort()
            await asyncio.sleep(0.3)
            gate.set()
            await raw.until(lambda _: raw.methods["DELETE"] == 1, timeout=5)
            assert len(raw.issued) == 2 and len(raw.sessions) == 1
            admin = (await running.remora.process.event("admin_listening"))["address"]
            page = await metrics(admin)
            assert page.total("remora_handles") == 0 and page.total("remora_handles_opened_total") == 0
            await settles(lambda: len(raw.sessions), 1)
            assert (await use(address, "x", await open_session(address))).text == "raw"


# Calls that may ask


def accepted(asked: Answer) -> dict[str, Any]:
    return {key: {"action": "accept", "content": {}} for key in asked.result["inputRequests"]}


async def retry(address: str, tool: str, handle: str, asked: Answer, capabilities: Any = ELICITS) -> Answer:
    message = call(tool, {"session_handle": handle}, clientCapabilities=capabilities)
    message["params"] |= {"inputResponses": accepted(asked), "requestState": asked.result["requestState"]}
    return await send(address, message)


async def test_a_call_that_may_ask_has_the_session_alone() -> None:
    at_once: Counter[str | None] = Counter()
    most: Counter[str | None] = Counter()

    async def tool(run: Running) -> None:
        session = run.exchange.session
        at_once[session] += 1
        most[session] = max(most[session], at_once[session])
        if run.params["name"] == "asks":
            await run.ask(1, get=True)
            await run.answer(1)
        await asyncio.sleep(0.05)
        at_once[session] -= 1
        await run.finish(str(session))

    may = {"clientCapabilities": ELICITS}
    async with Asking(tool) as server, stack(server.address, server={"era": "legacy"}, sessions=ON) as running:
        address = running.front.address
        handle = await open_session(address, **may)
        asked = await use(address, "asks", handle, meta=may)
        assert asked.result["resultType"] == "input_required"
        others = [asyncio.create_task(use(address, "x", handle, meta=may)) for _ in range(5)]
        # A client that declares nothing uses the same session, and waits for it too.
        others += [asyncio.create_task(use(address, "x", handle))]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in others)
        done = await retry(address, "asks", handle, asked)
        ended = [await task for task in others]
        assert {done.text} == {each.text for each in ended} and max(most.values()) == 1
        # A client that waits for its turn may leave.
        asked = await use(address, "asks", handle, meta=may)
        async with await Connection.open(address) as connection:
            await connection.send(encode(call("x", {"session_handle": handle}, **may), host=address))
            await asyncio.sleep(0.3)
            connection.abort()
        assert (await retry(address, "asks", handle, asked)).text == done.text
        assert (await use(address, "x", handle, meta=may)).text == done.text
        # One that waits hears of the end.
        asked = await use(address, "asks", handle, meta=may)
        waiting = asyncio.create_task(use(address, "x", handle, meta=may))
        await asyncio.sleep(0.3)
        assert not (await use(address, "close_session", handle)).result.get("isError")
        assert is_gone(await waiting)
        assert (await retry(address, "asks", handle, asked)).text == done.text


@pytest.mark.parametrize("promote", [False, True], ids=["parked", "promoted"])
async def test_an_open_question_does_not_give_its_session_away(promote: bool) -> None:
    """A session of a handle is none that could be spared, though no client waits for it."""
    hold = asyncio.Event()

    async def tool(run: Running) -> None:
        if run.params["name"] == "holds":
            await hold.wait()
        if run.params["name"] != "asks":
            return await run.finish(str(run.exchange.session))
        if promote:
            await asyncio.sleep(0.6)
        await run.ask(1)
        await run.answer(1)
        await run.finish(str(run.exchange.session))

    declared = ELICITS | (TASKS if promote else {})
    may = {"clientCapabilities": declared}
    changes = {"tasks": {"promote": "300ms"}} if promote else {}
    limits = ON | {"max": 2, "max_per_principal": 2}
    async with Asking(tool) as server:
        async with stack(server.address, server={"era": "legacy"}, sessions=limits, **changes) as running:
            address = running.front.address
            handle = await open_session(address, **may)
            mine = (await use(address, "x", handle, meta=may)).text
            asked = await use(address, "asks", handle, meta=may)
            if promote:
                id = asked.result["taskId"]
                await until_task(running, id, lambda task: task["status"] == "input_required", declared)
            # The other place is taken, and so a call that wants a third session has to wait, and hears that there is none.
            holding = asyncio.create_task(use(address, "holds", None))
            await server.until(lambda _: server.methods["tools/call"] == 3)
            busy = await use(address, "x", None, meta={"clientCapabilities": {"sampling": {}}})
            assert busy.status == 503 and busy.error["data"]["reason"] == "busy"
            hold.set()
            assert (await holding).text != mine
            if promote:
                task = await until_task(running, id, lambda task: True, declared)
                assert task["status"] == "input_required"
                answers = {key: {"action": "accept", "content": {}} for key in task["inputRequests"]}
                update = request("tasks/update", {"taskId": id, "inputResponses": answers}, **may)
                assert (await send(address, update)).status == 200
                task = await until_task(running, id, lambda task: task["status"] == "completed", declared)
                assert task["result"]["content"][0]["text"] == mine
            else:
                assert (await retry(address, "asks", handle, asked)).text == mine
            assert (await use(address, "x", handle, meta=may)).text == mine


async def test_a_cancelled_call_does_not_end_the_session() -> None:
    """The server does not let go of it, and goes on with its session all the same."""

    async def tool(run: Running) -> None:
        if run.params["name"] == "hangs":
            await run.tell("message", level="info", data="begun")
            return await asyncio.sleep(60)
        await run.finish(str(run.exchange.session))

    may = {"clientCapabilities": ELICITS}
    async with Asking(tool) as server, stack(server.address, server={"era": "legacy"}, sessions=ON) as running:
        address = running.front.address
        handle = await open_session(address, **may)
        mine = (await use(address, "x", handle, meta=may)).text
        async with await Connection.open(address) as connection:
            await connection.send(encode(call("hangs", {"session_handle": handle}, **may), host=address))
            await server.until(lambda _: server.methods["tools/call"] == 2)
            connection.abort()
        await server.until(lambda _: len(server.cancelled) == 1, timeout=30)
        assert (await use(address, "x", handle, meta=may)).text == mine


# Several loops and replicas


@pytest.mark.parametrize("threads", [1, 2])
async def test_any_replica_takes_calls(lab: str, threads: int) -> None:
    async with Replicas(lab, sessions=ON, threads=threads) as group:
        fronts = list(group.fronts.values())
        turns = itertools.cycle(fronts)
        handles = [await open_session(front, "ada") for front in fronts]
        assert all(len(handle) <= 128 for handle in handles)
        for number in range(1, 7):
            for handle in handles:
                assert (await use(next(turns), "counter", handle, "ada")).text == str(number)
            next(turns)
        for front in fronts:
            assert is_gone(await use(front, "counter", handles[0], "bob"))
        assert (await use(fronts[1], "close_session", handles[0], "ada")).text == "The session is closed."
        assert all([is_gone(await use(front, "counter", handles[0], "ada")) for front in fronts])
        assert is_gone(await use(fronts[2], "close_session", handles[0], "ada"))
        # A replica that is gone takes its sessions with it, and so does one that starts anew.
        await group.kill(group.names[1])
        for front in (fronts[0], fronts[2]):
            assert is_gone(await use(front, "counter", handles[1], "ada"))
            assert is_gone(await use(front, "close_session", handles[1], "ada"))
        await group.start(group.names[1])
        for front in fronts:
            assert is_gone(await use(front, "counter", handles[1], "ada"))
            assert not (await use(front, "counter", handles[2], "ada")).result.get("isError")


async def test_a_retry_at_another_replica() -> None:
    """The call waits in the session of the handle, and goes on there or nowhere."""

    async def tool(run: Running) -> None:
        if run.params["name"] == "asks":
            await run.ask(1)
            await run.answer(1)
        await run.finish(str(run.exchange.session))

    may = {"clientCapabilities": ELICITS}
    async with Asking(tool) as server, Replicas(server.address, sessions=ON) as group:
        first, second, third = group.fronts.values()
        handle = await open_session(first, **may)
        mine = (await use(third, "x", handle, meta=may)).text
        asked = await use(second, "asks", handle, meta=may)
        assert (await retry(third, "asks", handle, asked)).text == mine
        asked = await use(second, "asks", handle, meta=may)
        calls = server.methods["tools/call"]
        await group.kill(group.names[0])
        lost = await retry(third, "asks", handle, asked)
        assert lost.result["isError"] is True and server.methods["tools/call"] == calls
        assert is_gone(await use(second, "x", handle, meta=may))
        await group.start(group.names[0])


async def test_threads_of_one_remora(lab: str) -> None:
    async with stack(lab, threads=3, sessions=ON) as running:
        handles = [await open_session(running.front.address) for _ in range(6)]
        for number in range(1, 4):
            answers = await asyncio.gather(*(use(running.front.address, "counter", handle) for handle in handles))
            assert [answer.text for answer in answers] == [str(number)] * 6


# Other kinds of servers


@pytest.fixture(scope="module", params=lab_server.CHANNELS, ids="-".join)
async def channel_lab(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnyLab]:
    async for it in lab_server.any_lab(*request.param, tmp_path_factory.mktemp("lab")):
        yield it


@pytest.mark.timeout(300)
async def test_commands_and_http_with_sse(channel_lab: AnyLab) -> None:
    """A process, or a stream, for each handle."""
    async with stack(channel_lab.address, way=channel_lab.way, sessions=ON) as running:
        address = running.front.address
        first, second = await open_session(address), await open_session(address)
        for expected, handle in (("1", first), ("1", second), ("2", first), ("1", None), ("2", second), ("3", first)):
            assert (await use(address, "counter", handle)).text == expected
        assert (await use(address, "close_session", first)).text == "The session is closed."
        assert is_gone(await use(address, "counter", first))
        assert (await use(address, "counter", second)).text == "3"


async def test_a_command_that_ends() -> None:
    command = [sys.executable, str(SERVERS / "raw_stdio.py")]
    async with Remora(configuration({"command": command}, sessions=ON, admin={"address": "127.0.0.1:0"})) as remora:
        handle = await open_session(remora.address)
        assert (await use(remora.address, "x", handle)).text == "raw"
        before = set(children(remora.process.pid))
        await use(remora.address, "close_session", handle)
        await settles(lambda: len(children(remora.process.pid)), len(before) - 1)
        lost = await open_session(remora.address)
        own, = set(children(remora.process.pid)) - before
        os.kill(own, signal.SIGKILL)
        end = time.monotonic() + 10
        # A call that is there when the process ends may hear of that instead: nothing of it ran.
        while (answer := await use(remora.address, "x", lost)).status == 503:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert is_gone(answer)
        page = await metrics((await remora.process.event("admin_listening"))["address"])
        assert page.value("remora_handles_ended_total", reason="lost") == 1
        assert page.value("remora_handles_ended_total", reason="closed") == 1


async def test_pinned_connections(lab: str) -> None:
    """One call after the other, in the one session."""
    async with stack(lab, server={"pin_connection": True}, sessions=ON) as running:
        handles = [await open_session(running.front.address) for _ in range(2)]
        answers = await asyncio.gather(*(use(running.front.address, "counter", handles[number % 2]) for number in range(20)))
        for which in range(2):
            assert sorted(int(answers[number].text) for number in range(which, 20, 2)) == list(range(1, 11))


async def test_copies_of_a_server() -> None:
    """Each handle has its home. One that is gone takes it along, though there is another."""
    async with Lab() as a, Lab() as b:
        async with Remora(configuration(f"http://{a.address}/mcp", f"http://{b.address}/mcp", sessions=ON)) as remora:
            handles = [await open_session(remora.address) for _ in range(4)]
            for number in range(1, 4):
                for handle in handles:
                    assert (await use(remora.address, "counter", handle)).text == str(number)
            await a.kill()
            found = [await use(remora.address, "counter", handle) for handle in handles * 2]
            gone = [is_gone(answer) for answer in found[4:]]
            assert True in gone and False in gone
            assert all(is_gone(answer) or answer.text in "45" for answer in found[4:])


async def test_a_server_that_speaks_the_new_revision_itself() -> None:
    """It gets everything as it is, from the first request on."""

    async def modern(exchange: Exchange) -> bool:
        if exchange.method == "initialize":
            await exchange.reply(400, exchange.error(-32022, "no", supported=[VERSION], requested="2025-11-25"))
        elif exchange.method == "server/discover":
            await exchange.json(exchange.response(DISCOVERED))
        elif exchange.method == "tools/call":
            text = json.dumps(exchange.message["params"]["arguments"])
            content = {"resultType": "complete", "content": [{"type": "text", "text": text}]}
            await exchange.json(exchange.response(json.dumps(content).encode()))
        else:
            return False
        return True

    async with RawBackend(modern) as raw:
        async with stack(raw.address, sessions=ON, judge_front=False, judge_back=False) as running:
            for _ in range(2):
                assert (await use(running.front.address, "open_session", None, a=1)).text == '{"a": 1}'
                assert (await use(running.front.address, "x", "own")).text == '{"session_handle": "own"}'


async def test_a_list_does_not_wait_for_a_session_that_is_busy() -> None:
    """Its own tools are in the next one."""
    hold = asyncio.Event()

    async def lists(exchange: Exchange) -> bool:
        if exchange.method == "tools/list" and exchange.session == own and not hold.is_set():
            await hold.wait()
        return False

    own = None
    async with PushBackend(lists) as raw, stack(raw.address, server={"era": "legacy"}, sessions=ON) as running:
        await running.client.send(request("tools/list"))
        await raw.until(lambda _: len(raw.streams) == 1)
        before = set(raw.streams)
        await open_session(running.front.address)
        await raw.until(lambda _: len(raw.streams) == 2)
        own, = set(raw.streams) - before
        await raw.streams[own].chunk(event(notification("tools/list_changed")))
        await asyncio.sleep(0.2)
        start = time.monotonic()
        listed = await running.client.send(request("tools/list"))
        assert [tool["name"] for tool in listed.result["tools"]] == ["open_session", "close_session", "x"]
        assert 1.5 < time.monotonic() - start < 5
        hold.set()


async def test_remora_stops_while_a_call_waits_for_its_client() -> None:
    async def tool(run: Running) -> None:
        await run.ask(1)
        await run.answer(1)

    may = {"clientCapabilities": ELICITS}
    async with Asking(tool) as server:
        async with stack(server.address, server={"era": "legacy"}, sessions=ON) as running:
            handle = await open_session(running.front.address, **may)
            asked = await use(running.front.address, "asks", handle, meta=may)
            assert asked.result["resultType"] == "input_required"
            waiting = asyncio.create_task(use(running.front.address, "asks", handle, meta=may))
            await asyncio.sleep(0.3)
            waiting.cancel()
        await server.until(lambda _: server.methods["DELETE"] >= 1)
