"""Lists are read once for all who ask, kept for a while, and dropped when they change (translation contract, section 8)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Answer, Client, encode, request
from harness.stack import Stack, stack
from servers.raw import Exchange, RawBackend

LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
"""The methods, and the member of the result that has the items."""

RESTART = "Invalid params: the cursor is not valid, or not any more. List again, without a cursor."


def tools(*names: str, **more: Any) -> bytes:
    """A page of tools."""
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
    return json.dumps({"tools": listed, **more}).encode()


def names(answer: Answer, member: str = "tools") -> list[str]:
    return [item["name"] for item in answer.result[member]]


async def every_page(client: Client, method: str = "tools/list", **options: Any) -> list[dict[str, Any]]:
    """The results of all pages, one after the other."""
    pages: list[dict[str, Any]] = []
    params: dict[str, Any] = {}
    while True:
        pages.append((await client.send(request(method, params), **options)).result)
        if "nextCursor" not in pages[-1]:
            return pages
        params = {"cursor": pages[-1]["nextCursor"]}


class Held:
    """A script that keeps answers to one method back until it is opened."""

    def __init__(self, method: str = "tools/list") -> None:
        self.method = method
        self.gate = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> bool:
        if exchange.method == self.method:
            await self.gate.wait()
        return False


class Pushing:
    """A script with a GET stream on which the test can say that something changed."""

    def __init__(self) -> None:
        self.streams: list[Exchange] = []
        self.opened = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        await exchange.stream_head()
        self.streams.append(exchange)
        self.opened.set()
        await asyncio.Event().wait()
        return True

    async def changed(self, what: str) -> None:
        await asyncio.wait_for(self.opened.wait(), 10)
        text = json.dumps({"jsonrpc": "2.0", "method": f"notifications/{what}/list_changed"}).encode()
        for stream in self.streams:
            await stream.chunk(b"data: " + text + b"\r\n\r\n")


@asynccontextmanager
async def asking(
    running: Stack, message: Callable[[int], dict[str, Any]], count: int
) -> AsyncIterator[list[Connection]]:
    """That many clients, each of which has sent its request; none is answered yet."""
    connections = [await Connection.open(running.front.address) for _ in range(count)]
    try:
        for number, connection in enumerate(connections):
            await connection.send(encode(message(number), host=running.front.address))
        yield connections
    finally:
        for connection in connections:
            connection.abort()


# Once for all who ask


@pytest.mark.parametrize("method", LISTS)
async def test_many_clients_cause_one_request(method: str) -> None:
    """500 at once, and again when it is kept."""
    held = Held(method)
    async with RawBackend(held) as raw, stack(raw.address) as running:
        async with asking(running, lambda number: request(method, id=f"id-{number}"), 500) as connections:
            await raw.until(lambda raw: raw.methods[method] == 1)
            await asyncio.sleep(0.3)
            held.gate.set()
            for number, connection in enumerate(connections):
                answer = Answer(await connection.receive())
                assert answer.json["id"] == f"id-{number}"
                assert answer.result[LISTS[method]] == json.loads(raw.results[method])[LISTS[method]]
        assert (await running.client.send(request(method))).status == 200
        assert (raw.methods[method], raw.methods["initialize"]) == (1, 1)


async def test_principals_share_nothing() -> None:
    """One request for each, and each sees what the server shows it."""
    held = Held()

    async def script(exchange: Exchange) -> bool:
        await held(exchange)
        if exchange.method != "tools/list":
            return False
        principal = exchange.request.header("authorization") or "nobody"
        await exchange.json(exchange.response(tools(f"of {principal}")))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        principals = ["Bearer a", "Bearer b", None]

        async def ask(number: int) -> None:
            principal = principals[number % 3]
            headers = {"Authorization": principal} if principal else {}
            async with Client(running.front.address) as client:
                for _ in range(2):
                    answer = await client.send(request("tools/list", id=number), **headers)
                    assert (answer.json["id"], names(answer)) == (number, [f"of {principal or 'nobody'}"])

        async with asyncio.TaskGroup() as group:
            for number in range(90):
                group.create_task(ask(number))
            await raw.until(lambda raw: raw.methods["tools/list"] == 3)
            held.gate.set()
        assert raw.methods["tools/list"] == 3


async def test_capabilities_that_make_another_session_make_another_list() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        for _ in range(2):
            for extensions in ({"vendor.example/a": {}}, {"vendor.example/b": {}}):
                message = request("tools/list", clientCapabilities={"extensions": extensions})
                assert names(await running.client.send(message)) == ["x"]
        assert raw.methods["tools/list"] == 2


@pytest.mark.parametrize("listed_first", [True, False])
async def test_a_session_lists_its_tools_once_for_lists_and_calls(listed_first: bool) -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        if listed_first:
            assert names(await running.client.send(request("tools/list"))) == ["x"]
        assert (await running.client.call("x")).text == "raw"
        assert names(await running.client.send(request("tools/list"))) == ["x"]
        assert raw.methods["tools/list"] == 1


async def test_a_call_and_a_list_wait_for_the_same() -> None:
    held = Held()
    async with RawBackend(held) as raw, stack(raw.address) as running:

        async def call() -> None:
            async with Client(running.front.address) as client:
                assert (await client.call("x")).text == "raw"

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(call())
            group.create_task(running.client.send(request("tools/list")))
            await asyncio.sleep(0.3)
            held.gate.set()
        assert (raw.methods["tools/list"], raw.methods["tools/call"]) == (1, 5)


@pytest.mark.parametrize("ttl", ["0s", "30s"])
async def test_a_failure_goes_to_all_who_wait_and_is_not_kept(ttl: str) -> None:
    held = Held()

    async def script(exchange: Exchange) -> bool:
        await held(exchange)
        if exchange.method != "tools/list" or raw.methods["tools/list"] > 1:
            return False
        await exchange.json(exchange.error(-32603, "no list today", reason=[1.0]))
        return True

    async with RawBackend(script) as raw, stack(raw.address, cache={"ttl": ttl}) as running:
        async with asking(running, lambda number: request("tools/list", id=number), 20) as connections:
            await raw.until(lambda raw: raw.methods["tools/list"] == 1)
            await asyncio.sleep(0.2)
            held.gate.set()
            for number, connection in enumerate(connections):
                answer = Answer(await connection.receive())
                assert (answer.status, answer.json["id"], answer.code) == (200, number, -32603)
                assert (answer.error["message"], answer.error["data"]) == ("no list today", {"reason": [1.0]})
        assert raw.methods["tools/list"] == 1
        assert names(await running.client.send(request("tools/list"))) == ["x"]


async def test_a_client_that_leaves_takes_nobody_with_it() -> None:
    """Not even the one that asked first; and when all have left, the list is still read, and kept."""
    held = Held()
    async with RawBackend(held) as raw, stack(raw.address) as running:
        async with asking(running, lambda number: request("tools/list", id=number), 10) as connections:
            await raw.until(lambda raw: raw.methods["tools/list"] == 1)
            await asyncio.sleep(0.2)
            for connection in connections[:5]:
                connection.abort()
            await asyncio.sleep(0.2)
            held.gate.set()
            for number, connection in list(enumerate(connections))[5:]:
                assert Answer(await connection.receive()).json["id"] == number
        assert raw.methods["tools/list"] == 1 and raw.methods["notifications/cancelled"] == 0

    held = Held()
    async with RawBackend(held) as raw, stack(raw.address) as running:
        async with asking(running, lambda number: request("tools/list", id=number), 2):
            await raw.until(lambda raw: raw.methods["tools/list"] == 1)
        await asyncio.sleep(0.2)
        held.gate.set()
        await asyncio.sleep(0.2)
        assert names(await running.client.send(request("tools/list"))) == ["x"]
        assert raw.methods["tools/list"] == 1


async def test_the_end_does_not_wait_for_a_list() -> None:
    """No request waits for it any more, and the exit is 0."""
    held = Held()
    async with RawBackend(held) as raw, stack(raw.address) as running:
        async with asking(running, lambda number: request("tools/list", id=number), 1):
            await raw.until(lambda raw: raw.methods["tools/list"] == 1)


# How long it is kept


async def test_it_is_fresh_for_less_and_less() -> None:
    async with RawBackend() as raw, stack(raw.address, cache={"ttl": "2s"}) as running:
        left = []
        for _ in range(4):
            left.append((await running.client.send(request("tools/list"))).result["ttlMs"])
            await asyncio.sleep(0.1)
        assert 2000 >= left[0] > left[1] > left[2] > left[3] > 0
        assert left[0] - left[3] >= 300
        assert raw.methods["tools/list"] == 1
        await asyncio.sleep(2)
        assert (await running.client.send(request("tools/list"))).result["ttlMs"] > 1000
        assert raw.methods["tools/list"] == 2


async def test_a_ttl_of_zero_keeps_nothing() -> None:
    held = Held()
    async with RawBackend(held) as raw, stack(raw.address, cache={"ttl": 0}) as running:
        async with asking(running, lambda number: request("tools/list", id=number), 50) as connections:
            await raw.until(lambda raw: raw.methods["tools/list"] == 1)
            await asyncio.sleep(0.2)
            held.gate.set()
            for connection in connections:
                assert Answer(await connection.receive()).result["ttlMs"] == 0
        assert raw.methods["tools/list"] == 1, "those who ask at once still share"
        for expected in (2, 3):
            assert (await running.client.send(request("tools/list"))).result["ttlMs"] == 0
            assert raw.methods["tools/list"] == expected


@pytest.mark.parametrize("what", ["tools", "prompts", "resources"])
async def test_a_change_drops_what_it_is_about(what: str) -> None:
    pushing = Pushing()
    async with RawBackend(pushing) as raw, stack(raw.address) as running:
        for method in LISTS:
            assert (await running.client.send(request(method))).status == 200
        raw.results["tools/list"] = tools("new")
        await pushing.changed(what)
        await asyncio.sleep(0.2)
        for method in LISTS:
            answer = await running.client.send(request(method))
            assert raw.methods[method] == (2 if method.startswith(what) else 1), method
            if method == "tools/list" and what == "tools":
                assert names(answer) == ["new"]


async def test_a_change_that_a_call_causes_drops_it_too() -> None:
    """It comes on the call's own stream."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        raw.results["tools/list"] = tools("x", "y")
        notice = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
        await exchange.sse(notice, exchange.response(raw.results["tools/call"]))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert names(await running.client.send(request("tools/list"))) == ["x"]
        assert (await running.client.call("x")).text == "raw"
        assert names(await running.client.send(request("tools/list"))) == ["x", "y"]


async def test_a_change_while_it_is_read() -> None:
    """Who waits gets it, as stale; who comes after the change gets the new one; the old one is not kept."""
    pushing, held = Pushing(), Held()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "tools/list" and raw.methods["tools/list"] == 1:
            await held.gate.wait()
            await exchange.json(exchange.response(tools("old")))
            return True
        return await pushing(exchange)

    async with RawBackend(script, results={"tools/list": tools("new")}) as raw, stack(raw.address) as running:
        async with asking(running, lambda number: request("tools/list", id=number), 5) as connections:
            await raw.until(lambda raw: raw.methods["tools/list"] == 1)
            await pushing.changed("tools")
            await asyncio.sleep(0.2)
            assert names(await running.client.send(request("tools/list"))) == ["new"]
            held.gate.set()
            for connection in connections:
                answer = Answer(await connection.receive())
                assert (names(answer), answer.result["ttlMs"]) == (["old"], 0)
        assert names(await running.client.send(request("tools/list"))) == ["new"]
        assert raw.methods["tools/list"] == 2


async def test_a_lost_session_takes_its_lists_with_it() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        assert names(await running.client.send(request("tools/list"))) == ["x"]
        assert (await running.client.call("x")).text == "raw"
        raw.sessions.clear()
        raw.results["tools/list"] = tools("x", "new")
        assert (await running.client.call("x")).text == "raw"
        assert names(await running.client.send(request("tools/list"))) == ["x", "new"]
        assert (raw.methods["initialize"], raw.methods["tools/list"]) == (2, 2)


async def test_a_session_lost_while_it_is_read() -> None:
    """Between two pages: the list is begun anew, since cursors belong to a session."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/list":
            return False
        if raw.methods["tools/list"] == 2:
            raw.sessions.clear()
            return False
        cursor = exchange.message["params"].get("cursor")
        await exchange.json(exchange.response(tools("b") if cursor else tools("a", nextCursor="second")))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        assert names(await running.client.send(request("tools/list"))) == ["a", "b"]
        assert (raw.methods["initialize"], raw.methods["tools/list"]) == (2, 4)


async def test_another_version_of_the_server_drops_all_lists() -> None:
    """Seen by a handshake for another principal."""
    version = "1"

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "initialize":
            return False
        raw.sessions.add(session := f"session-{raw.methods['initialize']}")
        info = {"name": "raw", "version": version}
        result = {"protocolVersion": raw.revision, "capabilities": raw.capabilities, "serverInfo": info}
        await exchange.json(exchange.response(json.dumps(result).encode()), Mcp_Session_Id=session)
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        for principal in ("a", "b", "a"):
            await running.client.send(request("tools/list"), Authorization=f"Bearer {principal}")
        assert raw.methods["tools/list"] == 2
        version = "2"
        for principal in ("c", "a", "b"):
            await running.client.send(request("tools/list"), Authorization=f"Bearer {principal}")
        assert raw.methods["tools/list"] == 4 + 1


# Pages


def paged(pages: dict[str | None, bytes], method: str = "tools/list") -> Callable[[Exchange], Any]:
    """A script with a page for each cursor, and an error for any other one."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != method:
            return False
        cursor = exchange.message["params"].get("cursor")
        if cursor in pages:
            await exchange.json(exchange.response(pages[cursor]))
        else:
            await exchange.json(exchange.error(-32602, "what cursor is that?", cursor=cursor))
        return True

    return script


async def test_the_pages_of_the_server_become_one() -> None:
    """An empty cursor leads on; null and other types do not. What else is in the result is that of the first page."""
    cursors: list[str | None] = [None, "", "b\"\\é\u2028", *(f"page {number}" for number in range(30))]
    pages = {
        cursor: tools(f"t{number}", nextCursor=following, **({"vendor": 1.5} if number == 0 else {"other": 1}))
        for number, (cursor, following) in enumerate(zip(cursors, [*cursors[1:], None]))
    }
    async with RawBackend(paged(pages)) as raw, stack(raw.address) as running:
        (page,) = await every_page(running.client)
        assert [tool["name"] for tool in page["tools"]] == [f"t{number}" for number in range(len(cursors))]
        assert page["vendor"] == 1.5 and "other" not in page and page["cacheScope"] == "private"
        assert raw.methods["tools/list"] == len(cursors)
        assert len(await every_page(running.client)) == 1
        assert raw.methods["tools/list"] == len(cursors)


async def test_items_stay_as_they_are_spelled() -> None:
    first = rb'{"name":"a","inputSchema":{"type":"object","default":1.0},"x":[1 ,\u0032]}'.replace(rb"\u0032", b"2")
    second = rb'{ "title":"\u00e9\/" , "name":"b", "inputSchema":{"type":"object"}, "execution":{"taskSupport":"optional"}}'
    pages = {
        None: b'{"tools":[ ' + first + b' ],"nextCursor":"2"}',
        "2": b'{"tools":[' + second + b"]}",
    }
    async with RawBackend(paged(pages)) as raw, stack(raw.address) as running:
        answer = await running.client.send(request("tools/list"))
    assert first in answer.raw
    assert rb'{ "title":"\u00e9\/" , "name":"b", "inputSchema":{"type":"object"}}' in answer.raw


def large(count: int, size: int, start: int = 0, **more: Any) -> bytes:
    listed = [
        {"name": f"t{number}", "description": "x" * size, "inputSchema": {"type": "object"}}
        for number in range(start, start + count)
    ]
    return json.dumps({"tools": listed, **more}).encode()


async def test_a_long_list_has_pages_of_our_own() -> None:
    """From what is kept, for every client; and from another reading, as long as the list is the same."""
    pages = {None: large(20, 100_000, nextCursor="2"), "2": large(20, 100_000, 20)}
    async with RawBackend(paged(pages)) as raw, stack(raw.address, cache={"ttl": "3s"}) as running:
        found = await every_page(running.client)
        assert len(found) == 4 and all(len(json.dumps(page["tools"])) < 1_100_000 for page in found)
        assert [tool["name"] for page in found for tool in page["tools"]] == [f"t{number}" for number in range(40)]
        assert {page["cacheScope"] for page in found} == {"private"}
        assert raw.methods["tools/list"] == 2
        await asyncio.sleep(3)
        again = await running.client.send(request("tools/list", {"cursor": found[1]["nextCursor"]}))
        assert again.result["tools"] == found[2]["tools"]
        assert raw.methods["tools/list"] == 4
        # The list changes: what the cursor leads to is not there any more.
        pages["2"] = large(20, 100_000, 21)
        await asyncio.sleep(3)
        answer = await running.client.send(request("tools/list", {"cursor": found[1]["nextCursor"]}))
        assert (answer.status, answer.code, answer.error["message"]) == (200, -32602, RESTART)


async def test_cursors_that_are_not_ours_are_all_refused_alike() -> None:
    pages = {None: large(30, 100_000)}
    async with RawBackend(paged(pages)) as raw, stack(raw.address) as running:
        first = (await running.client.send(request("tools/list"), Authorization="Bearer a")).result
        cursor = first["nextCursor"]

        async def ask(cursor: str, method: str = "tools/list", principal: str = "Bearer a") -> Answer:
            return await running.client.send(request(method, {"cursor": cursor}), Authorization=principal)

        assert names(await ask(cursor))[0] != "t0"
        changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        wrong = [
            await ask(""),
            await ask("2"),
            await ask("v1."),
            await ask("v1.é"),
            await ask("v1." + "A" * 5_000_000),
            await ask(changed),
            await ask(cursor.replace("v1", "v2")),
            await ask(cursor + "A"),
            await ask(cursor, principal="Bearer b"),
            await ask(cursor, method="prompts/list"),
        ]
        assert {answer.raw for answer in wrong} == {wrong[0].raw}
        assert (wrong[0].status, wrong[0].code, wrong[0].error["message"]) == (200, -32602, RESTART)
    async with RawBackend(paged(pages)) as raw, stack(raw.address) as running:
        answer = await running.client.send(request("tools/list", {"cursor": cursor}), Authorization="Bearer a")
        assert answer.raw == wrong[0].raw, "another process has another key"


async def test_a_cursor_is_good_on_every_thread() -> None:
    """Each reads the list for itself, and finds the same one."""
    async with RawBackend(paged({None: large(30, 100_000)})) as raw, stack(raw.address, threads=4) as running:
        first = (await running.client.send(request("tools/list"))).result
        for _ in range(20):
            async with Client(running.front.address) as client:
                page = (await client.send(request("tools/list", {"cursor": first["nextCursor"]}))).result
                assert page["tools"][0]["name"] == f"t{len(first['tools'])}"
        assert 2 <= raw.methods["tools/list"] <= 4


@pytest.mark.parametrize(
    ("count", "asked"),
    [(1, 100), (200, 50)],
    ids=["a hundred pages", "ten thousand items"],
)
async def test_a_list_without_end_is_passed_on_page_by_page(count: int, asked: int) -> None:
    """It is read up to the limit once, and then each page comes from the server, whose errors are relayed."""

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/list":
            return False
        start = int(exchange.message["params"].get("cursor", "0"))
        if raw.methods["tools/list"] > asked and start > 2 * count:
            await exchange.json(exchange.error(-32602, "that is enough"))
        else:
            await exchange.json(exchange.response(large(count, 1, start, nextCursor=str(start + count))))
        return True

    async with RawBackend(script) as raw, stack(raw.address) as running:
        first = (await running.client.send(request("tools/list"))).result
        read = raw.methods["tools/list"]
        assert read == asked
        assert len(first["tools"]) == count
        assert (await running.client.send(request("tools/list"))).result["tools"] == first["tools"]
        assert raw.methods["tools/list"] == read, "that it is too long is remembered"
        cursor = first["nextCursor"]
        for number in (1, 2):
            page = (await running.client.send(request("tools/list", {"cursor": cursor}))).result
            assert page["tools"][0]["name"] == f"t{number * count}" and page["ttlMs"] > 20_000
            cursor = page["nextCursor"]
        answer = await running.client.send(request("tools/list", {"cursor": cursor}))
        assert (answer.status, answer.code, answer.error["message"]) == (200, -32602, "that is enough")
        assert raw.methods["tools/list"] == read + 3
        foreign = await running.client.send(request("tools/list", {"cursor": cursor}), Authorization="Bearer b")
        assert (foreign.code, foreign.error["message"]) == (-32602, RESTART)


async def test_a_list_too_large_to_be_kept() -> None:
    """One page of 9 MiB: as the server gives it, to all who ask at once, and not kept."""
    async with RawBackend(results={"prompts/list": b'{"prompts":[{"name":"%s"}]}' % (b"p" * (9 << 20))}) as raw:
        async with stack(raw.address) as running:
            for expected in (1, 2):
                answer = await running.client.send(request("prompts/list"))
                assert len(names(answer, "prompts")[0]) == 9 << 20
                assert raw.methods["prompts/list"] == expected


@pytest.mark.parametrize("page", [b"[]", b'"tools"', b"7"])
async def test_a_page_that_is_no_result(page: bytes) -> None:
    async with RawBackend(paged({None: tools("a", nextCursor="2"), "2": page})) as raw, stack(raw.address) as running:
        answer = await running.client.send(request("tools/list"))
        assert (answer.status, answer.code, answer.error["data"]["reason"]) == (200, -32603, "outcome_unknown")


async def test_a_page_without_items() -> None:
    """It counts for nothing."""
    pages = {None: tools("a", nextCursor="2"), "2": b'{"nextCursor":"3"}', "3": b'{"tools":null,"nextCursor":"4"}'}
    pages["4"] = tools("b")
    async with RawBackend(paged(pages)) as raw, stack(raw.address) as running:
        assert names(await running.client.send(request("tools/list"))) == ["a", "b"]


async def test_an_error_on_a_later_page_is_that_of_the_list() -> None:
    async with RawBackend(paged({None: tools("a", nextCursor="gone")})) as raw, stack(raw.address) as running:
        answer = await running.client.send(request("tools/list", id="i"))
        assert (answer.status, answer.json["id"], answer.code) == (200, "i", -32602)
        assert answer.error["data"] == {"cursor": "gone"}
