"""What happens to calls that wait for their clients at the same moment: each order of events ends in an answer, and Remora goes
on whatever it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.http1 import Connection, read_head
from harness.listener import Listener
from harness.modern import Answer, Client, call, encode, request
from harness.remora import Remora, configuration
from harness.ways import TLS
from servers.asking import PAGE, Asking, Running
from servers.raw import Exchange, PushBackend
from servers.wires import FORMS, Wire, Wires, text
from test_ends_in_one_wake import asleep
from test_opening import QUESTIONS, ROOTS, Greeting

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
YES = {"action": "accept", "content": {}}
FORM = {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}}
ACCEPT = {"action": "accept"}


def ask(name: str = "x", *, method: str = "tools/call", id: Any = 1, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return request(method, params, id=id, clientCapabilities=EVERYTHING)


def retry(message: dict[str, Any], asked: Answer, answers: dict[str, Any]) -> dict[str, Any]:
    state = {"inputResponses": answers, "requestState": asked.result["requestState"]}
    return {**message, "id": "again", "params": {**state, **message["params"]}}


async def send(remora: Remora, message: dict[str, Any], **options: Any) -> Answer:
    async with Client(remora.address) as client:
        return await client.send(message, timeout=60, **options)


async def begin(remora: Remora, message: dict[str, Any]) -> Connection:
    """Sends a request whose client goes before its answer."""
    connection = await Connection.open(remora.address)
    await connection.send(encode(message, host=remora.address))
    return connection


def lost(answer: Answer) -> bool:
    return "interaction was lost" in (answer.text if "result" in answer.json else answer.error["message"])


# MARK: A call that is taken up, and whose client leaves meanwhile


class Resuming(Asking):
    """Gives its questions ids. It holds a GET with `Last-Event-ID` of a call until the gate opens, and then refuses it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(self._ask, **options)
        self.resumptions = 0
        self.gate = asyncio.Event()
        self.answered = asyncio.Event()
        self.calls = 0

    async def _ask(self, running: Running) -> None:
        self.calls += 1
        await running.send({"id": 0, "method": "elicitation/create", "params": FORM}, id=f"event-{self.calls}")
        await self.until(lambda _: running.exchange.message["id"] in self.cancelled or 0 in self.answers(running.exchange.session))
        if 0 in self.answers(running.exchange.session):
            self.forget(running.exchange.session, 0)
            self.answered.set()
            if self.calls == 1:
                await running.cancelled()
        result = text("done") if running.exchange.method == "tools/call" else {"messages": []}
        await running.send({"id": running.exchange.message["id"], "result": result}, id=f"end-{self.calls}")
        await running.exchange.chunk(b"")

    async def dispatch(self, exchange: Exchange) -> bool:
        if exchange.request.method == "GET" and exchange.request.header("last-event-id"):
            self.resumptions += 1
            async with self.changed:
                self.changed.notify_all()
            await self.gate.wait()
            await exchange.reply(405)
            return True
        return await super().dispatch(exchange)


READ_ONLY = b'{"tools":[{"name":"x","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}'


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["prompts/get", "tools/call"])
async def test_a_client_that_leaves_while_its_lost_call_is_taken_up(method: str, threads: int) -> None:
    """The server refuses, and no client is left to run the call for."""
    async with Resuming(results={"tools/list": READ_ONLY}) as server:
        async with Remora(configuration(server.url, threads=threads)) as remora:
            message = ask(method=method)
            asked = await send(remora, message)
            again = retry(message, asked, {"elicitation-1": YES})
            # The retry breaks off, and the call is given up and forgotten.
            connection = await begin(remora, again)
            await server.answered.wait()
            connection.abort()
            await server.until(lambda server: server.cancelled, timeout=30)
            # It is taken up from what the client carries, and its client leaves.
            while server.resumptions == 0:
                connection = await begin(remora, again)
                await asyncio.sleep(0.1)
                connection.abort()
            await asyncio.sleep(0.2)
            server.gate.set()
            # A client that sends it again has the answer.
            done = await send(remora, again)
            assert "result" in done.json, done
            assert not server.failures, server.failures


# MARK: Questions of a handshake


class Opening:
    """A server that asks twice with its answer to `initialize`, on any way."""

    @asynccontextmanager
    async def of(self, form: str) -> AsyncIterator[Opening]:
        self.form = form
        if form == "http":
            async with Greeting("roots/list", "elicitation/create") as self.http:
                self.backend: Any = {"url": self.http.url}
                yield self
        else:
            async with Wires(form, self._script) as self.wires:
                self.backend = self.wires.backend
                yield self

    @staticmethod
    def _script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "initialize":
            return False
        for id, method in enumerate(["roots/list", "elicitation/create"]):
            wire.ask(id, method, **QUESTIONS[method])
        return False

    async def answered(self, session: int) -> None:
        """The answer to the first question has come in so many sessions."""
        if self.form == "http":
            await self.http.until(lambda server: sum(b'"id":0,"result"' in each.body for each in server.requests) > session)
        else:
            await self.wires.until(lambda server: sum(0 in wire.answers() for wire in server.wires) > session)

    async def withdraw(self) -> None:
        """Takes the second question back in each session."""
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        if self.form == "http":
            for stream in list(self.http.streams.values()):
                await stream.chunk(b"data: " + json.dumps(cancelled).encode() + b"\n\n")
        else:
            for wire in self.wires.wires:
                wire.tell("cancelled", requestId=1)

    @property
    def calls(self) -> int:
        return (self.http if self.form == "http" else self.wires).methods["tools/call"]


@pytest.mark.parametrize(("form", "threads"), [("http", 1), ("http", 3), ("stdio", 1), ("sse", 3)])
async def test_the_last_question_of_a_handshake_is_withdrawn_when_nobody_is_left(form: str, threads: int) -> None:
    """What the server asks before the call can be sent is asked first; then there is no client that brings the call."""
    async with Opening().of(form) as server, Remora(configuration(server.backend, threads=threads)) as remora:
        for attempt in range(6):
            message = ask(id=attempt)
            principal = {"Authorization": f"Bearer {attempt}"}
            asked = await send(remora, message, **principal)
            assert sorted(asked.result["inputRequests"]) == ["elicitation-2", "roots-1"]
            again = retry(message, asked, {"roots-1": ROOTS})
            connection = await Connection.open(remora.address)
            await connection.send(encode(again, host=remora.address, **principal))
            await server.answered(attempt)
            connection.abort()
            await asyncio.sleep(0.003)
            await server.withdraw()
            # Who comes back within two seconds has the call run, once.
            before = server.calls
            done = await send(remora, again, **principal)
            assert done.text == "raw", done
            assert server.calls == before + 1


# MARK: Pages


SOON_ASKED = {"request_timeout": "10s"}
"""A page is asked for again after half of it."""


@pytest.mark.timeout(90)
async def test_a_page_is_done_just_as_it_is_to_be_asked_for_again() -> None:
    """A retry without the key has the page asked for once more, unless the server says within that moment that it is done."""
    count = 12

    async def visit(running: Running) -> None:
        page = running.arguments["page"]
        await running.ask(0, **{**PAGE, "elicitationId": page})
        await running.answer(0)
        await gates[page].wait()
        await running.tell("elicitation/complete", get=True, elicitationId=page)
        await asyncio.sleep(0.3)
        await running.finish(f"visited {page}")

    gates = {f"p{number}": asyncio.Event() for number in range(count)}

    async with Asking(visit) as server, Remora(configuration(server.url, limits=SOON_ASKED)) as remora:
        await asyncio.gather(*(visit_a_page(remora, number, gates) for number in range(count)))


class Visiting:
    """A server over one wire that sends a page during each call, and says that it was visited when the gate opens."""

    def __init__(self, gates: dict[str, asyncio.Event]) -> None:
        self.gates = gates
        self.tasks: set[asyncio.Task[None]] = set()

    def script(self, wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") == "tools/call":
            page = message["params"]["arguments"]["page"]
            wire.ask(0, "elicitation/create", **{**PAGE, "elicitationId": page})
            self.tasks.add(asyncio.create_task(self._visit(wire, message["id"], page)))
            return True
        return False

    async def _visit(self, wire: Wire, call: Any, page: str) -> None:
        await self.gates[page].wait()
        wire.tell("elicitation/complete", elicitationId=page)
        await asyncio.sleep(0.3)
        wire.say({"id": call, "result": text(f"visited {page}")})


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("form", "threads"), [("stdio", 1), ("sse", 3)])
async def test_a_page_is_done_just_as_it_is_to_be_asked_for_again_over_one_wire(form: str, threads: int) -> None:
    """With several threads most retries come to another one than the call has."""
    count = 6
    gates = {f"p{number}": asyncio.Event() for number in range(count)}
    async with Wires(form, Visiting(gates).script) as server, Remora(
        configuration(server.backend, threads=threads, limits=SOON_ASKED)) as remora:
        await asyncio.gather(*(visit_a_page(remora, number, gates) for number in range(count)))
        assert server.methods["tools/call"] == count


async def visit_a_page(remora: Remora, number: int, gates: dict[str, asyncio.Event]) -> None:
    """One caller: accepts the page, waits until it is asked again, and comes back about when the server says that it is done."""
    page = f"p{number}"
    principal = {"Authorization": f"Bearer {number}"}
    message = ask(page=page)
    asked = await send(remora, message, **principal)
    reminded = await send(remora, retry(message, asked, {"elicitation-1": ACCEPT}), **principal)
    assert list(reminded.result["inputRequests"]) == ["elicitation-2"]
    waiting = asyncio.create_task(send(remora, retry(message, reminded, {}), **principal))
    await asyncio.sleep(0.003 * number)
    gates[page].set()
    done = await waiting
    if "inputRequests" in done.result:  # It came too late.
        assert list(done.result["inputRequests"]), "no client is asked nothing"
        done = await send(remora, retry(message, done, {}), **principal)
    assert done.text == f"visited {page}"


# MARK: Ids that come again


@pytest.mark.parametrize("way", ["http", "get", *FORMS])
async def test_an_id_that_was_answered_is_another_question(way: str) -> None:
    """Three times, in the same words. The server waits for each answer."""
    async def asks(running: Running) -> None:
        for _ in range(3):
            await running.ask("q", get=way == "get")
            await running.answer("q")
        await running.finish("done")

    rounds = 0

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        nonlocal rounds, call_id
        if message.get("method") == "tools/call":
            call_id = message["id"]
        elif message.get("id") == "q":
            rounds += 1
        else:
            return False
        if rounds < 3:
            wire.ask("q", "elicitation/create", **FORM)
        else:
            wire.say({"id": call_id, "result": text("done")})
        return True

    call_id: Any = None
    server: Any = Wires(way, script) if way in FORMS else Asking(asks)
    async with server:
        async with Remora(configuration(server.backend if way in FORMS else {"url": server.url})) as remora:
            message = ask()
            answer = await send(remora, message)
            for number in range(1, 4):
                assert list(answer.result["inputRequests"]) == [f"elicitation-{number}"], answer
                answer = await send(remora, retry(message, answer, {f"elicitation-{number}": YES}))
            assert answer.text == "done"


# MARK: Retries of clients that have gone already


def asking_once(wire: Wire, message: dict[str, Any]) -> bool:
    """Asks during each call, and answers it when it was told an answer and then let go."""
    match message.get("method"):
        case "tools/call":
            wire.ask(f"q{message['id']}", "elicitation/create", **FORM)
            return True
        case "notifications/cancelled":
            wire.say({"id": message["params"]["requestId"], "error": {"code": 0, "message": "Request cancelled"}})
            return True
    return False


class AskingOnce:
    """Such a server, on any way. It gets one call."""

    @asynccontextmanager
    async def of(self, form: str) -> AsyncIterator[AskingOnce]:
        server: Any = Asking(self._tool) if form == "http" else Wires(form, asking_once)
        self.finishes = asyncio.Event()
        async with server as self.server:
            self.is_http = form == "http"
            self.backend: Any = {"url": server.url} if self.is_http else server.backend
            yield self

    async def _tool(self, running: Running) -> None:
        await running.ask(f"q{running.exchange.message['id']}")
        ends = [asyncio.create_task(each) for each in (running.cancelled(), self.finishes.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()
        if self.finishes.is_set():
            await running.finish("done")
        else:
            await running.finish(code=0, message="Request cancelled")

    def _state(self) -> tuple[list[Any], list[Any]]:
        """The answers to its question, and the calls that were cancelled."""
        if self.is_http:
            return [reply for _, reply in self.server.replies], self.server.cancelled
        wires = self.server.wires
        replies = [each for wire in wires for each in wire.heard if str(each.get("id")).startswith("q")]
        return replies, [each for wire in wires for each in wire.cancelled()]

    async def cancelled(self) -> None:
        """And was answered once."""
        await self.server.until(lambda _: len(self._state()[1]) == 1)
        self._check()

    async def was_answered(self) -> None:
        await self.server.until(lambda _: self._state()[0])

    async def finish(self) -> None:
        """It is not cancelled, and was answered once."""
        assert self._state()[1] == []
        self._check()
        if self.is_http:
            self.finishes.set()
        else:
            ((wire, called),) = self.server.requests("tools/call")
            wire.say({"id": called["id"], "result": text("done")})

    def _check(self) -> None:
        ((reply,), _) = self._state()
        assert reply["result"] == YES and self.server.methods["tools/call"] == 1, reply


async def sent_by_who_is_gone(
    remora: Remora, message: dict[str, Any], *, half: bool, tls: ssl.SSLContext | None = None
) -> Connection:
    """A request and the end of its connection, which have both come before either is read."""
    connection = await Connection.open(remora.address, tls)
    remora.process.child.send_signal(signal.SIGSTOP)
    await connection.send(encode(message, host=remora.address))
    if half:
        connection.writer.write_eof()
    elif tls is not None:  # Its end would wait for the other side's.
        connection.writer.close()
        await asyncio.sleep(0.1)
    else:
        await connection.close()
    remora.process.child.send_signal(signal.SIGCONT)
    return connection


@pytest.mark.parametrize(
    ("form", "half"), [("http", True), ("http", False), ("stdio", True), ("sse", False)],
    ids=["http-half-close", "http-close", "stdio-half-close", "sse-close"],
)
async def test_a_retry_whose_client_is_gone_when_it_is_served_gives_the_call_up(form: str, half: bool) -> None:
    """The same as if it had left a moment later. Where another thread has the call, it may not hear of the retry at all."""
    async with AskingOnce().of(form) as server, Remora(configuration(server.backend)) as remora:
        message = ask()
        asked = await send(remora, message)
        again = retry(message, asked, {"elicitation-1": YES})
        connection = await sent_by_who_is_gone(remora, again, half=half)
        await server.cancelled()
        assert lost(await send(remora, again))
        connection.abort()


@pytest.mark.parametrize("form", ["http", "stdio"])
async def test_a_retry_over_tls_whose_client_is_gone_when_it_is_served(form: str, tmp_path: Path) -> None:
    """Its end is TLS's own, behind the request."""
    way = TLS(tmp_path)
    async with contextlib.AsyncExitStack() as parts:
        server = await parts.enter_async_context(AskingOnce().of(form))
        remora = await parts.enter_async_context(Remora(configuration(server.backend, **way.changes)))
        front = await parts.enter_async_context(way.front(remora.address))
        async with Client(front.address) as client:
            message = ask()
            asked = await client.send(message)
            again = retry(message, asked, {"elicitation-1": YES})
            connection = await sent_by_who_is_gone(remora, again, half=False, tls=way.authority.client_context())
            await server.cancelled()
            assert lost(await client.send(again))
            connection.abort()


@pytest.mark.parametrize(
    ("form", "threads", "half"),
    [("http", 1, False), ("http", 3, True), ("stdio", 1, True), ("stdio", 3, False), ("sse", 1, False), ("sse", 3, True)],
)
async def test_a_retry_whose_client_was_gone_may_be_sent_again(form: str, threads: int, half: bool) -> None:
    """Its answers are delivered once, by one of the two."""
    async with AskingOnce().of(form) as server, Remora(configuration(server.backend, threads=threads)) as remora:
        message = ask()
        asked = await send(remora, message)
        again = retry(message, asked, {"elicitation-1": YES})
        connection = await sent_by_who_is_gone(remora, again, half=half)
        waiting = asyncio.create_task(send(remora, again))
        await server.was_answered()
        await asyncio.sleep(2.5)
        await server.finish()
        assert (await waiting).text == "done"
        connection.abort()


# MARK: Slow readers


@pytest.mark.parametrize(
    ("way", "next_one"),
    [("http", "listens"), ("http", "calls"), ("http, TLS to clients", "listens"), ("stdio", "calls"), ("sse", "listens")],
)
async def test_a_client_that_takes_nothing_is_asked(way: str, next_one: str, tmp_path: Path) -> None:
    """Its request is answered by that: the call waits for its client no more, and the connection serves the next request. On
    one wire the question waits behind the progress until the client reads."""
    asked = asyncio.Event()
    tls = TLS(tmp_path) if "TLS" in way else None
    # More than Remora keeps for a client that does not read, and the kernel for one with a small buffer.
    told = [{"progress": step, "message": "z" * 40_000} for step in range(1, 61)]

    async def chatty(running: Running) -> None:
        if running.params["name"] == "x":
            return await running.finish("raw")
        with contextlib.suppress(TimeoutError):
            for step in range(1, 2000):  # Until nothing more is taken.
                async with asyncio.timeout(0.5):
                    await running.tell("progress", **{**told[0], "progressToken": running.token, "progress": step})
        await running.ask(0, get=True)
        asked.set()
        await running.answer(0)
        await running.finish("done")

    def script(wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") == "tools/call" and message["params"]["name"] == "chatty":
            token = message["params"]["_meta"]["progressToken"]
            for progress in told:
                wire.tell("progress", progressToken=token, **progress)
            wire.ask(f"q{message['id']}", "elicitation/create", **FORM)
            asked.set()
            return True
        if "method" not in message and str(message["id"]).startswith("q"):
            wire.say({"id": int(message["id"][1:]), "result": text("done")})
        return False

    server: Any = Wires(way, script) if way in FORMS else Asking(chatty)
    async with server:
        backend = server.backend if way in FORMS else {"url": server.url}
        async with Remora(configuration(backend, **(tls.changes if tls else {}))) as remora:
            context = tls.authority.client_context() if tls else None
            message = request("tools/call", {"name": "chatty", "arguments": {}}, clientCapabilities=EVERYTHING, progressToken=1)
            message["params"]["_meta"]["progressToken"] = 1
            async with await Connection.open(remora.address, context, buffer=16 * 1024) as connection:
                await connection.send(encode(message, host=remora.address))
                await asyncio.wait_for(asked.wait(), 20)
                await asyncio.sleep(0.3)
                found = Answer(await connection.receive())
                assert list(found.result["inputRequests"]) == ["elicitation-1"] and len(found.messages) > 5
                if way in FORMS:
                    assert len(found.messages) == len(told) + 1
                if next_one == "listens":
                    listen = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
                    await connection.send(encode(listen, host=remora.address))
                    head = await read_head(connection.reader)
                    assert head is not None and head.status == 200
                else:
                    assert Answer(await connection.exchange(encode(call("x"), host=remora.address))).text == "raw"
                async with Client(remora.address, context) as client:
                    done = await client.send(retry(message, found, {"elicitation-1": YES}))
                assert done.text == "done"


# MARK: Listeners


class Held:
    """A server that keeps subscriptions until it is told what to say to them."""

    def __init__(self) -> None:
        self.asked: dict[str, list[Any]] = {}
        """By URI: the wire and the id, or the exchange."""

    @asynccontextmanager
    async def of(self, form: str) -> AsyncIterator[Held]:
        server: Any = PushBackend(self._exchange) if form == "http" else Wires(form, self._script)
        async with server as self.server:
            self.is_http = form == "http"
            self.backend: Any = {"url": server.url} if self.is_http else server.backend
            yield self

    def _script(self, wire: Wire, message: dict[str, Any]) -> bool:
        if message.get("method") != "resources/subscribe":
            return False
        self.asked.setdefault(message["params"]["uri"], []).append((wire, message["id"]))
        return True

    async def _exchange(self, exchange: Exchange) -> bool:
        if exchange.method != "resources/subscribe":
            return False
        self.asked.setdefault(exchange.message["params"]["uri"], []).append((exchange, asyncio.Event()))
        async with self.server.changed:
            self.server.changed.notify_all()
        await self.asked[exchange.message["params"]["uri"]][-1][1].wait()
        return True

    async def has_asked(self, uri: str, times: int = 1) -> Any:
        await self.server.until(lambda _: len(self.asked.get(uri, [])) == times)
        return self.asked[uri][-1]

    async def say(self, remora: Remora, *answers: tuple[Any, dict[str, Any]]) -> None:
        """In one write, or on connections that Remora finds readable at once."""
        if not self.is_http:
            wire = answers[0][0][0]
            return wire.say(*({"id": id, **outcome} for (_, id), outcome in answers))
        with asleep(remora):
            for (exchange, done), outcome in answers:
                await exchange.json(json.dumps({"jsonrpc": "2.0", "id": exchange.message["id"], **outcome}).encode())
                done.set()
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("form", ["http", *FORMS])
async def test_a_resource_is_refused_while_others_wait_for_the_same(form: str) -> None:
    """Who waited with the one who was refused is refused too, and not counted among those who ask again."""
    async with Held().of(form) as server, Remora(configuration(server.backend)) as remora:

        async def listen(*uris: str) -> Listener:
            return await Listener(remora.address, resourceSubscriptions=list(uris)).__aenter__()

        refused = {"error": {"code": -32002, "message": "no such resource"}}
        first = asyncio.create_task(listen("u1"))
        of_first = await server.has_asked("u1")
        second = asyncio.create_task(listen("y", "u1"))
        third = asyncio.create_task(listen("x", "u1"))
        of_third = await server.has_asked("x")
        of_second = await server.has_asked("y")
        await server.say(remora, (of_second, {"result": {}}))
        await server.say(remora, (of_first, refused), (of_third, {"result": {}}))
        once_more = await server.has_asked("u1", 2)
        await server.say(remora, (once_more, {"result": {}}))
        listeners = [await each for each in (first, second, third)]
        assert listeners[0].honoured.get("resourceSubscriptions", []) == []
        assert listeners[2].honoured["resourceSubscriptions"] == ["x", "u1"]
        assert listeners[1].honoured["resourceSubscriptions"][0] == "y"
        for listener in listeners:
            await listener.__aexit__()
        assert (await send(remora, call("x"))).text == "raw"
