"""`subscriptions/listen`: changes reach those who listen, each once, and no other client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from typing import Any

import mcp
import pytest
from mcp.client.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated, ToolsListChanged

from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import VERSION, Client, call, encode, request
from harness.processes import SERVERS, Process, venv
from harness.remora import Remora, configuration
from harness.stack import settles, stack
from servers.raw import Exchange, PushBackend, notification
from servers.wires import FORMS, Wire, Wires

LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
ROUNDS = int(os.environ.get("REMORA_ROUNDS", "50"))
"""How often a client lists on a notice; 1,000 by hand."""


def changed(what: str) -> bytes:
    return notification(f"{what}/list_changed")


def updated(uri: str) -> bytes:
    return notification("resources/updated", uri=uri)


# What is honoured


@pytest.mark.parametrize("id", ["listen-1", 7, 0, "7"], ids=repr)
async def test_the_acknowledgment_comes_first_and_events_carry_the_id(id: Any) -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, id=id, **LISTS, resourceSubscriptions=["raw:///r"]) as listener:
            assert listener.honoured == {**LISTS, "resourceSubscriptions": ["raw:///r"]}
            assert listener.head.header("x-accel-buffering") == "no"
            await raw.tell(changed("tools"), changed("prompts"), changed("resources"), updated("raw:///r"))
            found = [await listener.notice() for _ in range(4)]
            assert found[:3] == [f"{name}/list_changed" for name in ("tools", "prompts", "resources")]
            assert found[3] == "resources/updated raw:///r"


async def test_nothing_that_was_not_asked_for() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, promptsListChanged=True, toolsListChanged=False) as listener:
            assert listener.honoured == {"promptsListChanged": True}
            await raw.tell(
                changed("tools"),
                updated("raw:///r"),
                notification("message", level="emergency", data="no"),
                notification("progress", progressToken=1, progress=1),
                notification("vendor/thing"),
                changed("prompts"),
            )
            assert await listener.notice() == "prompts/list_changed"
            await listener.silence()


@pytest.mark.parametrize("offered", ["nothing promised", "no GET stream"])
async def test_what_cannot_come_is_not_honoured(offered: str) -> None:
    async def no_stream(exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        await exchange.reply(405, Allow="POST")
        return True

    promises = offered != "nothing promised"
    async with PushBackend(no_stream if promises else None, promises=promises) as raw, stack(raw.address) as running:
        wanted = {**LISTS, "resourceSubscriptions": ["raw:///r"]}
        async with Listener(running.front.address, **wanted) as listener:
            # A server that promises nothing may still take subscriptions to resources: it is asked.
            assert listener.honoured == ({} if promises else {"resourceSubscriptions": ["raw:///r"]})
        capabilities = (await running.client.send(request("server/discover"))).result["capabilities"]
        assert "listChanged" not in capabilities["tools"] and "subscribe" not in capabilities["resources"]


async def test_discovery_promises_what_can_come() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        capabilities = (await running.client.send(request("server/discover"))).result["capabilities"]
        assert capabilities["tools"] == {"listChanged": True}
        assert capabilities["resources"] == {"listChanged": True, "subscribe": True}


async def test_refused_resources_are_left_out() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        raw.refused = {"raw:///no"}
        uris = ["raw:///a", "raw:///no", "raw:///a", "raw:///b"]
        async with Listener(running.front.address, resourceSubscriptions=uris) as listener:
            assert listener.honoured == {"resourceSubscriptions": ["raw:///a", "raw:///b"]}
            await raw.tell(updated("raw:///no"), updated("raw:///b"))
            assert await listener.notice() == "resources/updated raw:///b"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"notifications": []},
        {"notifications": {"toolsListChanged": 1}},
        {"notifications": {"resourceSubscriptions": "raw:///r"}},
        {"notifications": {"resourceSubscriptions": [1]}},
        {"notifications": {"resourceSubscriptions": [""]}},
        {"notifications": {"resourceSubscriptions": [f"raw:///{number}" for number in range(1001)]}},
    ],
    ids=["none", "array", "flag", "text", "number", "empty", "too many"],
)
async def test_a_filter_that_cannot_be_read(params: dict[str, Any]) -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        answer = await running.client.send(request("subscriptions/listen", params))
        assert (answer.status, answer.code) == (200, -32602)
        assert raw.methods["resources/subscribe"] == 0


# One upstream for many


async def test_many_listeners_share_what_the_server_sees() -> None:
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///a", "raw:///b"]}
    async with PushBackend() as raw, stack(raw.address) as running, contextlib.AsyncExitStack() as all:
        listeners = [Listener(running.front.address, **wanted) for _ in range(40)]
        await asyncio.gather(*map(all.enter_async_context, listeners))
        await raw.tell(changed("tools"), updated("raw:///a"))
        for listener in listeners:
            assert {await listener.notice(), await listener.notice()} == {"tools/list_changed", "resources/updated raw:///a"}
        assert raw.methods["GET"] == 1 and raw.methods["initialize"] == 1
        assert raw.subscribed == {"raw:///a": 1, "raw:///b": 1} and raw.methods["resources/subscribe"] == 2
        # Half of them go: nothing changes for the server.
        for listener in listeners[:20]:
            listener.connection.abort()
        await asyncio.sleep(0.2)
        assert raw.methods["resources/unsubscribe"] == 0
        for listener in listeners[20:]:
            listener.connection.abort()
        await raw.until(lambda raw: raw.methods["resources/unsubscribe"] == 2, timeout=10)
        assert +raw.subscribed == {}


async def test_two_principals_share_nothing() -> None:
    async with PushBackend() as raw, stack(raw.address) as running, contextlib.AsyncExitStack() as all:
        listeners = {}
        for name in ("ann", "bob"):
            listener = Listener(
                running.front.address, headers={"Authorization": f"Bearer {name}"}, resourceSubscriptions=["raw:///r"]
            )
            listeners[name] = await all.enter_async_context(listener)
        assert raw.subscribed == {"raw:///r": 2} and len(raw.streams) == 2
        streams = [each for each in raw.requests if each.method == "GET"]
        of = {each.header("mcp-session-id"): each.header("authorization") for each in streams}
        for session, stream in raw.streams.items():
            name = str(of[session]).removeprefix("Bearer ")
            await stream.chunk(b"data: " + updated(f"raw:///r/{name}") + b"\n\n")
        for name, listener in listeners.items():
            assert await listener.notice() == f"resources/updated raw:///r/{name}"
            await listener.silence(0.1)


async def test_a_notice_on_the_stream_of_a_call_counts() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.sse(changed("tools"), updated("raw:///r"), exchange.response(b'{"content":[]}'))
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        async with Listener(
            running.front.address, toolsListChanged=True, resourceSubscriptions=["raw:///r"]
        ) as listener:
            await running.client.call("x")
            assert [await listener.notice(), await listener.notice()] == ["tools/list_changed", "resources/updated raw:///r"]
            await listener.silence()


async def test_a_burst_is_two_notices() -> None:
    """The first at once; the rest as one, because what it announces may have come after the first was acted upon."""
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, toolsListChanged=True) as listener:
            start = time.monotonic()
            await raw.tell(*[changed("tools")] * 50)
            assert await listener.notice() == "tools/list_changed"
            assert time.monotonic() - start < 5
            assert await listener.notice() == "tools/list_changed"
            await listener.silence()


async def test_resources_below_those_listened_to() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        uris = ["raw:///a", "raw:///b/"]
        async with Listener(running.front.address, resourceSubscriptions=uris) as listener:
            await raw.tell(updated("raw:///ab"), updated("raw:///b"), updated("raw:///a/1/2"), updated("raw:///b/x"))
            assert await listener.notice() == "resources/updated raw:///a/1/2"
            assert await listener.notice() == "resources/updated raw:///b/x"
            await listener.silence()


# Lists and notices


async def test_a_client_that_lists_on_a_notice_gets_the_new_list() -> None:
    version = 0

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/list":
            return False
        name = f"tool-{version}"
        await asyncio.sleep(random.choice([0, 0, 0.002]))  # The list is as old as the moment it was asked for.
        tools = b'{"tools":[{"name":"%s","inputSchema":{"type":"object"}}]}' % name.encode()
        await exchange.json(exchange.response(tools))
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        address = running.remora.address
        async with Listener(address, toolsListChanged=True) as listener, Client(address) as client:
            stopping = asyncio.Event()

            async def others() -> None:
                """Keep the list in the cache, and being read."""
                async with Client(address) as other:
                    while not stopping.is_set():
                        await other.send(request("tools/list"))

            task = asyncio.create_task(others())
            for _ in range(ROUNDS):
                version += 1
                await raw.tell(changed("tools"))
                await listener.notice()
                name = (await client.send(request("tools/list"))).result["tools"][0]["name"]
                assert int(name.removeprefix("tool-")) >= version
            stopping.set()
            await task


# Loss and the end


async def test_a_lost_session_is_made_anew_and_nobody_is_left_behind() -> None:
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, **wanted) as listener:
            raw.sessions.clear()
            raw.subscribed.clear()
            raw.drop()
            start = time.monotonic()
            assert {await listener.notice(), await listener.notice()} == {"tools/list_changed", "resources/updated raw:///r"}
            assert time.monotonic() - start < 2
            assert raw.subscribed == {"raw:///r": 1} and raw.methods["initialize"] == 2
            await raw.tell(updated("raw:///r"))
            assert await listener.notice() == "resources/updated raw:///r"


async def test_what_a_new_session_refuses_is_told_to_nobody_any_more() -> None:
    """Who listened to it is ended, and hears what is honoured when it comes again."""
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///a", "raw:///b"]}
    async with PushBackend() as raw, stack(raw.address) as running:
        front = running.front.address
        async with Listener(front, **wanted) as listener, Listener(front, resourceSubscriptions=["raw:///b"]) as beside:
            raw.refused = {"raw:///a"}
            raw.sessions.clear()
            raw.subscribed.clear()
            raw.drop()
            assert await beside.notice() == "resources/updated raw:///b"
            async with Listener(front, **wanted) as later:
                assert later.honoured == {"toolsListChanged": True, "resourceSubscriptions": ["raw:///b"]}
                assert (await listener.end())["result"]["resultType"] == "complete"
                raw.refused = set()
                async with Listener(front, **wanted) as last:
                    assert last.honoured == wanted
                    assert raw.subscribed == {"raw:///a": 1, "raw:///b": 1}
                    await raw.tell(updated("raw:///a"))
                    assert await last.notice() == "resources/updated raw:///a"
                await later.silence()
                await beside.silence()


@pytest.mark.parametrize("form", FORMS)
async def test_a_new_connection_refuses(form: str) -> None:
    wanted = {"resourceSubscriptions": ["raw:///a", "raw:///b"]}
    refused: set[str] = set()

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "resources/subscribe" or message["params"]["uri"] not in refused:
            return False
        wire.say({"id": message["id"], "error": {"code": -32002, "message": "no such resource"}})
        return True

    async with Wires(form, script) as server, Remora(configuration(server.backend)) as remora:
        front = remora.address
        async with Listener(front, **wanted) as listener, Listener(front, resourceSubscriptions=["raw:///b"]) as beside:
            refused.add("raw:///a")
            server.wires[-1].end()
            assert await beside.notice() == "resources/updated raw:///b"
            async with Listener(front, **wanted) as later:
                assert later.honoured == {"resourceSubscriptions": ["raw:///b"]}
            assert (await listener.end())["result"]["resultType"] == "complete"


async def test_a_new_session_that_promises_less() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        front = running.front.address
        async with Listener(front, promptsListChanged=True) as listener, Listener(front, toolsListChanged=True) as beside:
            raw.capabilities = {**raw.capabilities, "prompts": {}}
            raw.sessions.clear()
            raw.drop()
            assert (await listener.end())["result"]["resultType"] == "complete"
            assert await beside.notice() == "tools/list_changed"
            async with Listener(front, promptsListChanged=True, toolsListChanged=True) as later:
                assert later.honoured == {"toolsListChanged": True}


@pytest.mark.parametrize("session", ["the same", "a new"])
async def test_a_server_that_cannot_be_heard_any_more(session: str) -> None:
    known: set[str | None] = set()

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "GET" or exchange.session not in raw.sessions:
            return False
        if not known:
            known.add(exchange.session)
            return False
        await exchange.reply(405, Allow="POST")
        return True

    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
    async with PushBackend(script) as raw, stack(raw.address) as running:
        async with Listener(running.front.address, **wanted) as listener:
            if session == "a new":
                raw.sessions.clear()
            raw.drop()
            while "result" not in (last := await listener.message()):
                pass
            assert last["result"]["resultType"] == "complete"
        async with Listener(running.front.address, **wanted) as later:
            assert later.honoured == {}
        assert raw.methods["initialize"] == (2 if session == "a new" else 1)


async def test_a_session_that_is_lost_while_somebody_joins() -> None:
    """The listener is there before the GET stream is: the session's end must not leave it with none."""
    lost = False

    async def script(exchange: Exchange) -> bool:
        nonlocal lost
        if exchange.request.method != "GET" or lost:
            return False
        lost = True
        await asyncio.sleep(0.3)
        raw.sessions.clear()
        await exchange.reply(404)
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        async with Listener(
            running.front.address, toolsListChanged=True, resourceSubscriptions=["raw:///r"]
        ) as listener:
            assert listener.honoured == {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
            await raw.tell(updated("raw:///r"))
            assert await listener.notice() == "resources/updated raw:///r"


async def test_a_server_that_comes_back() -> None:
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["raw:///r"]}
    first = PushBackend()
    await first.__aenter__()
    async with stack(first.address) as running, Listener(running.front.address, **wanted) as listener:
        first.drop()
        await first.__aexit__()
        await asyncio.sleep(1.5)
        async with PushBackend(port=int(first.address.rpartition(":")[2])) as second:
            start = time.monotonic()
            assert {await listener.notice(), await listener.notice()} == {"tools/list_changed", "resources/updated raw:///r"}
            assert time.monotonic() - start < 2
            assert second.subscribed == {"raw:///r": 1}
            await second.tell(updated("raw:///r"))
            assert await listener.notice() == "resources/updated raw:///r"


async def test_a_gap_in_the_get_stream_is_filled() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, toolsListChanged=True) as listener:
            await raw.tell(notification("vendor/hello"))
            raw.drop()
            # What was said meanwhile is lost: the notice is told as if it had been.
            assert await listener.notice() == "tools/list_changed"
            assert raw.methods["initialize"] == 1 and raw.methods["GET"] == 2


async def test_a_get_stream_with_ids_goes_on_where_it_was() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, toolsListChanged=True) as listener:
            await raw.tell(changed("tools"), id="e-7")
            assert await listener.notice() == "tools/list_changed"
            raw.drop()
            await raw.until(lambda raw: raw.methods["GET"] == 2)
            assert [each.header("last-event-id") for each in raw.requests if each.method == "GET"] == [None, "e-7"]
            await listener.silence()


async def test_a_stop_ends_subscriptions_with_a_result() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, id=3, toolsListChanged=True) as listener:
            os.kill(running.remora.process.pid, signal.SIGTERM)
            result = await listener.end()
            assert result["id"] == 3 and result["result"]["resultType"] == "complete"
        assert await running.remora.process.wait() == 0


async def test_credentials_that_end_end_the_subscription() -> None:
    valid = True

    async def script(exchange: Exchange) -> bool:
        if valid:
            return False
        await exchange.reply(401, WWW_Authenticate="Bearer")
        return True

    async with PushBackend(script) as raw, stack(raw.address) as running:
        async with Listener(running.front.address, toolsListChanged=True) as listener:
            valid = False
            raw.drop()
            assert (await listener.end())["result"]["resultType"] == "complete"


async def test_no_server_no_subscription() -> None:
    async with PushBackend() as raw:
        address = raw.address
    async with stack(address) as running:
        answer = await running.client.send(request("subscriptions/listen", {"notifications": LISTS}))
        assert answer.status == 503 and answer.error["data"]["reason"] == "backend_unavailable"


async def test_a_listener_that_goes_leaves_nothing() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.remora.address, toolsListChanged=True):
            pass
        before = running.remora.descriptors()
        for _ in range(50):
            async with Listener(running.remora.address, toolsListChanged=True):
                pass
        await settles(running.remora.descriptors, before + 2)


async def test_silence_is_broken_by_comments() -> None:
    async with PushBackend() as raw, stack(raw.address, limits={"keep_alive_interval": "200ms"}) as running:
        async with Listener(running.front.address, toolsListChanged=True) as listener:
            await listener.silence(0.7)
            assert 2 <= listener.comments <= 4


# Slow listeners


async def test_notices_for_a_slow_listener_become_few() -> None:
    uris = [f"raw:///{number}" for number in range(200)]
    long = "x" * 4000
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.remora.address, resourceSubscriptions=uris) as listener:
            before = running.remora.resident()
            for number in range(4000):
                await raw.tell(updated(f"{uris[number % 200]}/{long}/{number}"))
            await asyncio.sleep(1)
            assert running.remora.resident() - before < 16 * 1024 * 1024
            seen = set()
            with contextlib.suppress(TimeoutError):
                while True:
                    seen.add((await listener.notice(3)).removeprefix("resources/updated ").partition("/xxx")[0])
            assert seen == set(uris), "each resource is named at least once after its last change"


async def test_a_listener_that_never_reads_is_closed() -> None:
    long = "x" * 7900
    limits = {"idle_timeout": "500ms"}
    async with PushBackend() as raw, stack(raw.address, limits=limits) as running:
        descriptors = running.remora.descriptors()
        connection = await Connection.open(running.remora.address)
        message = request("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["raw:///r"]}})
        await connection.send(encode(message, host=running.remora.address))
        await raw.until(lambda raw: raw.methods["resources/subscribe"] == 1)

        async def flood() -> None:
            number = 0
            while True:
                number += 1
                await raw.tell(updated(f"raw:///r/{long}/{number}"))

        task = asyncio.create_task(flood())
        await settles(lambda: sum('"subscriptions/listen"' in line for line in running.remora.process.lines) == 0, 0)
        task.cancel()
        await settles(running.remora.descriptors, descriptors + 4)
        connection.abort()


# Filters


async def test_exactly_what_was_acknowledged() -> None:
    """Random filters and random events: each listener gets what it was promised, in order, and nothing else."""
    chance = random.Random(7)
    uris = [f"raw:///{name}" for name in "abcdef"]
    names = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
    async with PushBackend() as raw, stack(raw.address) as running, contextlib.AsyncExitStack() as all:
        raw.refused = {"raw:///f"}
        listeners = []
        for _ in range(12):
            filter: dict[str, Any] = {name: chance.random() < 0.5 for name in names.values() if chance.random() < 0.7}
            if chance.random() < 0.7:
                filter["resourceSubscriptions"] = chance.sample(uris, chance.randint(0, 6))
            listener = await all.enter_async_context(Listener(running.front.address, **filter))
            expected = {name: True for name in names.values() if filter.get(name)}
            if kept := [uri for uri in filter.get("resourceSubscriptions", []) if uri not in raw.refused]:
                expected["resourceSubscriptions"] = kept
            assert listener.honoured == expected
            listeners.append(listener)
        for _ in range(20):
            # Different ones: those that come again within the window would be one.
            events = chance.sample([*names, *uris], 4)
            await raw.tell(*(changed(each) if each in names else updated(each) for each in events))
            for listener in listeners:
                for each in events:
                    if listener.honoured.get(names.get(each, "")):
                        assert await listener.notice() == f"{each}/list_changed"
                    elif each in listener.honoured.get("resourceSubscriptions", []):
                        assert await listener.notice() == f"resources/updated {each}"
            await asyncio.sleep(0.12)
        await asyncio.gather(*(listener.silence() for listener in listeners))


async def test_calls_go_on_beside_a_subscription() -> None:
    async with PushBackend() as raw, stack(raw.address) as running:
        async with Listener(running.front.address, toolsListChanged=True):
            assert (await running.client.send(call("x"))).text == "raw"
        assert raw.methods["initialize"] == 1


# The published client and a real server


async def test_the_published_client_listens_to_a_real_server() -> None:
    uri = "changing:///r"
    script = str(SERVERS / "changing.py")
    async with await Process.start(venv("legacy-1.30.0"), script) as server:
        address = (await server.event("listening", timeout=60))["address"]
        async with stack(address) as running, mcp.Client(running.url, mode=VERSION) as client:

            async def change(what: str) -> None:
                await client.call_tool("change", {"what": what})

            async def subscribed() -> str:
                return (await client.call_tool("subscribed", {})).content[0].text

            every = {"tools_list_changed": True, "prompts_list_changed": True, "resources_list_changed": True}
            async with client.listen(**every, resource_subscriptions=[uri]) as subscription:
                assert subscription.honored.tools_list_changed and subscription.honored.prompts_list_changed
                assert subscription.honored.resources_list_changed
                assert list(subscription.honored.resource_subscriptions or []) == [uri]
                assert await subscribed() == f'{{"{uri}": 1}}'
                events = aiter(subscription)
                for number in range(1, 4):
                    await change("tools")
                    assert isinstance(await anext(events), ToolsListChanged)
                    assert f"tool-{number}" in {tool.name for tool in (await client.list_tools()).tools}
                    await change("prompts")
                    assert isinstance(await anext(events), PromptsListChanged)
                    assert (await client.list_prompts()).prompts[0].name == f"prompt-{number}"
                    await change("resources")
                    assert isinstance(await anext(events), ResourcesListChanged)
                    assert str((await client.list_resources()).resources[0].uri) == f"changing:///{number}"
                    await change(uri)
                    event = await anext(events)
                    assert isinstance(event, ResourceUpdated) and str(event.uri) == uri
                    assert (await client.read_resource(uri)).contents[0].text == str(number)
                    await asyncio.sleep(0.15)
            # It left: the server is told, a little later.
            async with asyncio.timeout(10):
                while await subscribed() != "{}":
                    await asyncio.sleep(0.2)
            # And it comes back.
            async with client.listen(resource_subscriptions=[uri]) as subscription:
                await change(uri)
                assert isinstance(await anext(aiter(subscription)), ResourceUpdated)
        await server.stop()
