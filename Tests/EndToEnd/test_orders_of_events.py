"""Events in an order that is rare: what ends, asks or is replaced just while something else waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness import http1
from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import Answer, Client, call, encode, request
from harness.remora import Remora, configuration
from harness.stack import settles
from servers.raw import Exchange, PushBackend, RawBackend
from servers.wires import FORMS, Wire, Wires
from test_commands import children
from test_opening import ROOTS, Greeting, retry
from test_subscriptions import changed, updated

URI = "raw:///r"


def listening(**filter: Any) -> dict[str, Any]:
    return request("subscriptions/listen", {"notifications": filter}, id="listener")


# Sessions that end early


class EndsEarly:
    """A server over HTTP+SSE. The first stream ends between `notifications/initialized` and the answer to its POST."""

    def __init__(self) -> None:
        self.streams: list[asyncio.StreamWriter] = []
        self.open: set[int] = set()
        self.has_been_noticed = asyncio.Event()
        """That the first stream is over."""

    async def __aenter__(self) -> EndsEarly:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = "http://127.0.0.1:{}/sse".format(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def say(self, number: int, message: Any) -> None:
        self.streams[number].write(b"data: " + json.dumps(message).encode() + b"\n\n")

    def tell(self) -> None:
        for number in self.open:
            self.say(number, json.loads(changed("tools")))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, http1.Malformed):
                while (received := await http1.read_request(reader)) is not None:
                    if received.method == "GET":
                        return await self._stream(reader, writer)
                    await self._take(int(received.target.rpartition("?")[2]), json.loads(received.body))
                    writer.write(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n")
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.streams)
        self.streams.append(writer)
        self.open.add(number)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        writer.write(b"event: endpoint\ndata: /messages?%d\n\n" % number)
        await reader.read()
        self.open.discard(number)
        if number == 0:
            self.has_been_noticed.set()

    async def _take(self, number: int, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "notifications/initialized" if number == 0:
                self.streams[0].write_eof()
                await self.has_been_noticed.wait()
            case "initialize":
                info = {"serverInfo": {"name": "raw", "version": "1"}, "capabilities": {"tools": {"listChanged": True}}}
                self.say(number, {"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": "2024-11-05", **info}})


@contextlib.asynccontextmanager
async def telling(server: EndsEarly) -> AsyncIterator[None]:
    """A client that hears of changes hears of one soon."""

    async def go_on() -> None:
        while True:
            server.tell()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()


async def test_a_channel_that_ends_while_its_session_is_opened() -> None:
    """A session whose stream is over before it is used is not one to listen on. A client that wants to listen hears of later changes,
    or is told that there is nothing to be heard and may ask again."""
    async with EndsEarly() as server, Remora(configuration(server.url, server={"transport": "sse"})) as remora:
        async with await Connection.open(remora.address) as connection:
            await connection.send(encode(listening(toolsListChanged=True), host=remora.address))
            async with asyncio.timeout(5):
                head = await http1.read_head(connection.reader)
            assert server.has_been_noticed.is_set() and head is not None
            if head.status == 503:
                head.body = await http1.read_body(connection.reader, head, until_close=False)
                assert Answer(head).error["data"] == {"reason": "backend_unavailable", "dispatched": False}
            else:
                assert head.status == 200
                async with asyncio.timeout(3), telling(server):
                    text = b""
                    async for chunk in http1.chunks(connection.reader):
                        text += chunk
                        if b"list_changed" in text or b'"result"' in text:
                            break
        async with Listener(remora.address, toolsListChanged=True) as listener:
            server.tell()
            assert await listener.notice(5) == "tools/list_changed"


@pytest.mark.parametrize("form", FORMS)
async def test_a_session_that_is_lost_while_it_is_subscribed_again(form: str) -> None:
    """The session that takes a lost one's place may be lost too, before it knows all resources. A later one serves those who
    listen."""

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "resources/subscribe" or wire.number != 1:
            return False
        wire.end()
        return True

    async with Wires(form, script) as wires, Remora(configuration(wires.backend)) as remora:
        async with Listener(remora.address, resourceSubscriptions=[URI]) as listener:
            wires.wires[0].end()
            await wires.until(lambda wires: wires.methods["resources/subscribe"] == 3, timeout=5)
            wires.wires[2].tell("resources/updated", uri=f"{URI}/later")
            async with asyncio.timeout(5):
                while await listener.notice() != f"resources/updated {URI}/later":
                    pass


# Calls and questions


class AsksMeanwhile(Greeting):
    """Asks while its session is opened, takes its time for the answer, and asks again meanwhile."""

    def __init__(self) -> None:
        super().__init__("roots/list")

    async def _script(self, exchange: Exchange) -> bool:
        if isinstance(exchange.message, dict) and "method" not in exchange.message and exchange.message.get("id") == 0:
            await self.tell(b'{"jsonrpc":"2.0","id":"again","method":"roots/list"}')
            await self.until(lambda _: "again" in self.told)
        return await super()._script(exchange)


async def test_a_question_between_the_decision_to_send_a_call_and_its_sending() -> None:
    """A call whose questions are answered is sent once the server has taken the answers. What the server asks until then
    delays the call, and is no reason to lose it: it is sent once, with the client's answers to both."""
    async with AsksMeanwhile() as server, Remora(configuration(server.url)) as remora, Client(remora.address) as client:
        message = call("x", clientCapabilities={"roots": {}})
        answer = await client.send(message)
        for _ in range(2):
            (key,) = answer.result["inputRequests"]
            answer = await client.send(retry(message, answer, **{key: ROOTS}))
        assert answer.text == "raw"
        assert [server.told[id]["result"] for id in (0, "again")] == [ROOTS, ROOTS]
        assert server.methods["tools/call"] == 1
        assert not [each for each in remora.process.events() if each["event"] == "internal_error"]


# Reloads


def with_another_server(remora: Remora) -> str:
    """Its configuration with a server that is not the same any more."""
    text = remora.text.replace("backends: [{", 'backends: [{"annotations": "ignore", ')
    assert text != remora.text
    return text


async def reload_while_listening_begins(
    remora: Remora, opening: asyncio.Event, opened: asyncio.Event, **filter: Any
) -> None:
    """Has the server changed by a reload while a session is being opened, for which a client waits that wants to listen. The client is
    told at once that it does not listen any more, or never did."""
    async with await Connection.open(remora.address) as connection:
        await connection.send(encode(listening(**filter), host=remora.address))
        async with asyncio.timeout(5):
            await opening.wait()
        await remora.reload(with_another_server(remora))
        opened.set()
        answer = Answer(await connection.receive(timeout=5))
        if answer.status == 200:
            assert answer.result["resultType"] == "complete"
        else:
            assert answer.error["data"]["reason"] == "backend_unavailable", answer


async def test_a_reload_while_a_listener_waits_for_its_process() -> None:
    """A process that is ready when the configuration that it was started for is gone is ended, and leaves no descriptor."""
    opening, opened = asyncio.Event(), asyncio.Event()

    async def script(_: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") == "initialize":
            opening.set()
            await opened.wait()
        return False

    async with Wires("stdio", script) as wires, Remora(configuration(wires.backend)) as remora:
        descriptors = remora.descriptors()
        await reload_while_listening_begins(remora, opening, opened, resourceSubscriptions=[URI])
        await settles(lambda: len(children(remora.process.pid)), 0, timeout=5)
        await settles(remora.descriptors, descriptors, timeout=5)


async def test_a_reload_while_a_listener_waits_for_its_session() -> None:
    """A session that is there when the configuration that it was opened for is gone is closed, and leaves no descriptor."""
    opening, opened = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "initialize":
            opening.set()
            await opened.wait()
        return False

    async with PushBackend(script) as raw, Remora(configuration(raw.url)) as remora:
        descriptors = remora.descriptors()
        await reload_while_listening_begins(remora, opening, opened, toolsListChanged=True)
        await raw.until(lambda raw: raw.methods["DELETE"] == 1, timeout=5)
        await settles(remora.descriptors, descriptors, timeout=5)


# Requests to the server


async def test_a_subscription_waits_for_the_end_of_the_one_before() -> None:
    """Requests on two connections have no order: the server is not asked for a resource while it is being asked to forget the
    same one, or it would forget what it was asked for last."""
    known: set[str] = set()

    async def script(exchange: Exchange) -> bool:
        if exchange.method == "resources/subscribe":
            known.add(exchange.message["params"]["uri"])
        if exchange.method == "resources/unsubscribe":
            # It takes its time, and no client should ask meanwhile.
            with contextlib.suppress(TimeoutError):
                await raw.until(lambda _: raw.methods["resources/subscribe"] > 2, timeout=0.5)
            known.discard(exchange.message["params"]["uri"])
        return False

    async with PushBackend(script) as raw, Remora(configuration(raw.url)) as remora:
        async with Listener(remora.address, resourceSubscriptions=["raw:///other"]):
            async with Listener(remora.address, resourceSubscriptions=[URI]):
                pass
            # The server is told when there was no subscriber for 5 s.
            await raw.until(lambda raw: raw.methods["resources/unsubscribe"] == 1, timeout=10)
            async with Listener(remora.address, resourceSubscriptions=[URI]) as listener:
                assert listener.honoured == {"resourceSubscriptions": [URI]}
                await raw.until(lambda raw: raw.subscribed[URI] == 1, timeout=5)
                assert URI in known
                await raw.tell(updated(URI))
                assert await listener.notice(5) == f"resources/updated {URI}"


@pytest.mark.parametrize("of", ["loops", "configurations"])
async def test_no_two_requests_have_the_same_id(of: str) -> None:
    """In all sessions, loops and configurations: an answer that a server gives to the wrong one matches no request then.
    Ids fit into 31 bits, which is what some servers read."""
    threads = 2 if of == "loops" else 1
    async with RawBackend() as raw, Remora(configuration(raw.url, threads=threads)) as remora:
        async with contextlib.AsyncExitStack() as connections:

            async def calls(who: str) -> None:
                client = await connections.enter_async_context(Client(remora.address))
                for _ in range(2):
                    assert (await client.call("x", Authorization=f"Bearer {who}")).text == "raw"

            await calls("ann")
            await calls("bob")
            if of == "configurations":
                await remora.reload(with_another_server(remora))
            for _ in range(64):  # The system says which loop has a connection.
                if raw.methods["initialize"] < 3:
                    await calls("ann")
                    await calls("bob")
            assert raw.methods["initialize"] >= 3
        messages = [json.loads(each.body) for each in raw.requests if each.body]
        ids = [each["id"] for each in messages if "id" in each]
        assert len(set(ids)) == len(ids), ids
        assert all(type(id) is int and 0 < id < 1 << 31 for id in ids), ids


async def test_a_refusal_of_the_stream_whose_body_never_comes() -> None:
    """The head says that the session is lost, and a ping that it is not. A subscriber hears of what is told on the next stream."""
    gets = 0

    async def script(exchange: Exchange) -> bool:
        nonlocal gets
        if exchange.request.method != "GET":
            return False
        gets += 1
        if gets == 1:
            await exchange.stream_head()
            await exchange.chunk(b"")
        elif gets == 2:
            exchange.writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n")
            await exchange.writer.drain()
        else:
            return False
        return True

    limits = {"backend_idle_timeout": "1s", "request_timeout": "3s"}
    async with PushBackend(script) as server, Remora(configuration(server.url, limits=limits)) as remora:
        async with await Connection.open(remora.address) as connection:
            await connection.send(encode(listening(toolsListChanged=True), host=remora.address))
            await server.until(lambda raw: gets >= 3, timeout=10)
            assert server.methods["initialize"] == 1, "it answers ping: the session lives"


PICKY = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answer = {"result": {"content": [], "tools": []}}
    if message["method"] == "initialize":
        capabilities = message["params"]["capabilities"]
        answer = {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "picky", "version": "1"}}}
        if capabilities:
            answer = {"error": {"code": -32602, "message": "Invalid request parameters"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""


async def test_a_caller_whose_capabilities_a_command_refuses() -> None:
    """It is that caller's own: the command is started for others at once."""
    async with Remora(configuration({"command": [sys.executable, "-S", "-c", PICKY]})) as remora, Client(remora.address) as client:
        for number in range(3):
            refused = await client.send(call("x", clientCapabilities={"elicitation": {}}), Authorization="Bearer bad")
            assert refused.status == 503 and "refused initialize" in refused.error["message"], refused
            assert (await client.call("x", Authorization="Bearer good")).status == 200
            # Without a session that is there.
            assert (await client.call("x", Authorization=f"Bearer {number}")).status == 200
