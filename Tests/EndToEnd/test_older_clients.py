"""Clients of older revisions before servers that have one channel a session: a command, and HTTP+SSE. Each session is a process or
a stream of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness import http1, lab, soak
from harness.http1 import Connection
from harness.modern import Client
from harness.older import Older, call, events, message
from harness.processes import SERVERS, Process, venv
from harness.remora import Remora, configuration
from servers.wires import FORMS, Wire, Wires, text
from test_commands import children, until
from test_commands import events as log_lines

PASS = {"listen": {"legacy_clients": "pass"}}
RAW = [sys.executable, str(SERVERS / "raw_stdio.py")]
SCRIPT = str(SERVERS / "older_client.py")
REFUSED = -32600


@contextlib.asynccontextmanager
async def before(*backends: Any, server: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Remora]:
    async with Remora(configuration(*backends, server=server, **{**PASS, **changes})) as remora:
        yield remora


@contextlib.asynccontextmanager
async def command(*options: str, **changes: Any) -> AsyncIterator[tuple[Remora, Older]]:
    async with before({"command": [*RAW, *options]}, **changes) as remora:
        yield remora, Older(remora.address)


@contextlib.asynccontextmanager
async def wired(form: str, script: Any = None, **changes: Any) -> AsyncIterator[tuple[Wires, Remora, Older]]:
    async with Wires(form, script) as wires, before(wires.backend, **changes) as remora:
        yield wires, remora, await Older(remora.address).open()


async def ended(remora: Remora, count: int) -> list[dict[str, Any]]:
    """The lines about sessions that have ended, when there are so many."""
    await until(lambda: len(log_lines(remora, "client_session_ended")) >= count)
    return log_lines(remora, "client_session_ended")


# The published client.


async def published(version: str, *arguments: str) -> dict[str, Any]:
    async with await Process.start(venv(f"legacy-{version}"), SCRIPT, *arguments) as client:
        done = await client.event("done", timeout=60)
        assert await client.wait() == 0
    return done


CASES = [
    ("1.30.0", "1.30.0", "stdio", None),
    ("1.30.0", "1.30.0", "http+sse", "sse"),
    ("1.30.0", "1.30.0", "http+sse", "auto"),
    ("1.12.4", "1.30.0", "stdio", None),
    ("1.12.4", "1.12.4", "http+sse", "sse"),
    ("1.30.0", "1.2.1", "http+sse", "auto"),
    ("1.12.4", "1.2.1", "stdio", None),
]


@pytest.mark.parametrize(("client", "server", "form", "transport"), CASES, ids=["-".join(map(str, each)) for each in CASES])
async def test_the_published_client_gets_what_it_gets_directly(
    client: str, server: str, form: str, transport: str | None
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if form == "stdio":
            line = [venv(f"legacy-{server}"), str(SERVERS / "lab.py"), "--stdio"]
            directly, backend = await published(client, "stdio", *line), {"command": line}
        else:
            process = await stack.enter_async_context(await lab.start(server, "--sse"))
            url = f"http://{await lab.address(process)}/mcp"
            directly, backend = await published(client, "sse", url), {"url": url, "transport": transport}
        # As users run it.
        remora = await stack.enter_async_context(before(backend, server={"era": "auto"} if form != "stdio" else None))
        through = await published(client, "http", f"http://{remora.address}/mcp")
        assert through.pop("session") is True and directly.pop("session") is False
        assert through == directly
        assert directly["progress"] == [1, 2, 3] and ("cancelled" in directly) == (server != "1.2.1")
        await until(lambda: not children(remora.process.pid))
        lines = [line for line in log_lines(remora, "request") if line["route"] == "session"]
        assert {line["http_method"] for line in lines} == {"GET", "POST", "DELETE"}
        assert [line["reason"] for line in await ended(remora, 1)] == ["closed"]


# What a session is.


async def test_messages_go_through_as_they_are() -> None:
    async with command() as (_, older):
        await older.open()
        odd = b' {"id" :"\\u0041","jsonrpc":"2.0" ,"method":"tools/call","params":{"name":"line","arguments":{"b":1e2,"a":[1.0]}}}'
        answer = await older.send(odd)
        assert answer.media_type == "application/json"
        found = json.loads(answer.body)
        assert found["id"] == "A" and json.loads(found["result"]["content"][0]["text"]) == odd.decode() + "\n"
        # A line break between tokens, which a line cannot have.
        answer = await older.send(json.dumps(call("line", 7), indent=1).encode())
        line = json.loads(json.loads(answer.body)["result"]["content"][0]["text"])
        assert line.count("\n") == 1 and json.loads(line) == call("line", 7)


@pytest.mark.parametrize("form", FORMS)
async def test_each_session_is_of_its_own_and_its_callers(form: str) -> None:
    async with wired(form) as (wires, remora, one):
        two = await Older(remora.address).open()
        third = await Older(remora.address, Authorization="Bearer t").open()
        assert len({one.session, two.session, third.session}) == 3 and len(wires.wires) == 3
        for number, older in enumerate((one, two, third)):
            assert await older.call("x", 2) == "raw"
            assert [each["method"] for each in wires.wires[number].heard][-1] == "tools/call"
        # Another caller, with the id of a session that is none of its own: also without credentials.
        for session, header in ((one.session, "Bearer t"), (third.session, None), (third.session, "Bearer u"), ("x", None)):
            for body, method in ((call("x", 3), "POST"), (message("ping", 4), "POST"), (None, "GET"), (None, "DELETE")):
                answer = await one.send(body, method, Mcp_Session_Id=session, Authorization=header)
                if session == "x" and method != "POST" and form == "sse":
                    continue
                assert answer.status == 404, (session, method)
                assert b"Session not found" in answer.body
        assert await third.call("x", 5) == "raw"
        # No session at all.
        answer = await one.send(call("x", 6), Mcp_Session_Id=None)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, REFUSED)
        assert json.loads(answer.body)["id"] == 6


@pytest.mark.parametrize("form", FORMS)
async def test_an_address_that_a_client_names_is_nobody(form: str) -> None:
    """Whose a session is, its credentials say, and not where a request says that it came from."""
    server = {"headers": {"add": ["x-forwarded-for", "forwarded"]}} if form == "sse" else None
    async with Wires(form) as wires, before(wires.backend, server=server) as remora:
        here, there = {"X-Forwarded-For": "10.0.0.1"}, {"X-Forwarded-For": "10.0.0.2", "Forwarded": "for=10.0.0.2"}
        one = await Older(remora.address, Authorization="Bearer a", **here).open()
        for headers, status in (
            ({"Authorization": "Bearer a", **here}, 200),
            ({"Authorization": "Bearer a", **there}, 200),
            ({"Authorization": "Bearer b", **here}, 404),
            ({**here}, 404),
        ):
            other = Older(remora.address, **headers)
            other.session, other.revision = one.session, one.revision
            assert (await other.send(call("x", 2))).status == status, headers


@pytest.mark.parametrize("form", FORMS)
async def test_callers_without_credentials_leave_room_for_others(form: str) -> None:
    """None of their sessions can be taken from them again."""
    async with Wires(form) as wires, before(wires.backend, sessions={"max": 2}) as remora:
        one = await Older(remora.address).open()
        answer = await Older(remora.address).initialize()
        assert (answer.status, json.loads(answer.body)["error"]["data"]["reason"]) == (503, "busy")
        other = await Older(remora.address, Authorization="Bearer o").open()
        assert [await each.call("x", 2) for each in (one, other)] == ["raw", "raw"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_session_of_modern_clients_makes_room(form: str) -> None:
    async with Wires(form) as wires, before(wires.backend, sessions={"max": 1}) as remora:
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
        assert await (await Older(remora.address, Authorization="Bearer o").open()).call("x", 2) == "raw"


@pytest.mark.parametrize("form", FORMS)
async def test_a_session_ends_with_delete(form: str) -> None:
    async with wired(form) as (_, remora, older):
        other = await Older(remora.address).open()
        async with older.stream() as stream:
            assert (await older.send(None, "DELETE")).status == 200
            assert await stream.event() is None
        for body, method in ((call("x", 1), "POST"), (None, "GET"), (None, "DELETE")):
            assert (await older.send(body, method)).status == 404
        await until(lambda: len(children(remora.process.pid)) == (1 if form == "stdio" else 0))
        assert await other.call("x", 1) == "raw"
        # And one that is opened anew is another one.
        before = older.session
        older.session = older.revision = None
        assert (await older.open()).session != before


async def test_an_error_to_initialize_is_the_servers() -> None:
    async def script(wire: Wire, heard: dict[str, Any]) -> bool:
        if heard.get("method") != "initialize":
            return False
        wire.say({"id": heard["id"], "error": {"code": -32602, "message": "Unsupported", "data": {"supported": ["x"]}}})
        return True

    for form in FORMS:
        async with Wires(form, script) as wires, before(wires.backend) as remora:
            answer = await Older(remora.address).initialize("1.0")
            assert answer.status == 200 and answer.header("mcp-session-id") is None
            assert json.loads(answer.body)["error"]["data"] == {"supported": ["x"]}
            await until(lambda: not children(remora.process.pid))


async def test_a_command_that_fails() -> None:
    async with command("fails") as (remora, older):
        answer = await older.initialize()
        error = json.loads(answer.body)
        assert (answer.status, error["id"], error["error"]["data"]["dispatched"]) == (503, 1, False)
        assert answer.header("mcp-session-id") is None


async def test_a_challenge_leads_through_remora() -> None:
    challenge = 'Bearer resource_metadata="http://{}/.well-known/oauth-protected-resource"'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while (request := await http1.read_request(reader)) is not None:
                head = "HTTP/1.1 405 X\r\n"
                if request.method == "GET":
                    head = f"HTTP/1.1 401 X\r\nWWW-Authenticate: {challenge.format(address)}\r\n"
                writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = "127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
        for transport in ("sse", "auto"):
            async with before({"url": f"http://{address}/sse", "transport": transport}) as remora:
                answer = await Older(remora.address, Authorization="Bearer old").initialize()
                assert (answer.status, json.loads(answer.body)["id"]) == (401, 1)
                challenged = answer.header("www-authenticate")
                assert challenged is not None and remora.address in challenged and address not in challenged


async def test_a_copy_without_its_event_stream_is_not_the_last() -> None:
    """One of two copies says 404 where its stream should be: the other one has the session, for each client."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):  # A connection alone asks whether the copy is there again.
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as broken, Wires("sse") as wires:
        address = "127.0.0.1:{}".format(broken.sockets[0].getsockname()[1])
        async with before({"url": f"http://{address}/sse", "transport": "sse"}, wires.backend) as remora:
            for _ in range(3):
                older = await Older(remora.address).open()
                assert await older.call("x", 2) == "raw"


# Where messages go.


@pytest.mark.parametrize("form", FORMS)
async def test_messages_go_where_they_belong(form: str) -> None:
    """Progress to its call, whatever else to the only call, or else to where the client listens."""

    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        return heard.get("method") == "tools/call"

    async with wired(form, script) as (wires, _, older):
        (wire,) = wires.wires
        log = {"level": "info", "data": "first"}
        wire.tell("message", **log)  # No stream is open yet.
        wire.ask("q", "roots/list")
        async with older.stream() as get:
            assert (await get.event())["params"] == log
            assert (await get.event())["id"] == "q"
            # The client's answer.
            assert (await older.send({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}})).status == 202
            await wires.until(lambda _: "q" in wire.answers())
            for token, more in (("a", 1), (5, 2)):
                one = asyncio.create_task(older.send(call("one", "i", token=token)))
                await wires.until(lambda each: len(each.requests("tools/call")) == 2 * more - 1)
                two = asyncio.create_task(older.send(call("two", 1, token="1")))
                await wires.until(lambda each: len(each.requests("tools/call")) == 2 * more)
                wire.tell("progress", progressToken=token, progress=1)
                wire.tell("progress", progressToken="1", progress=2)
                wire.tell("progress", progressToken="unknown", progress=3)
                wire.tell("message", level="info", data="whose?")
                wire.say({"id": 1, "result": text("2")})
                wire.tell("message", level="info", data="of one")
                wire.ask("e", "elicitation/create")
                wire.say({"id": "i", "result": text("1")})
                first, second = events(await one), events(await two)
                assert [each.get("params", each.get("result")) for each in second] == [
                    {"progressToken": "1", "progress": 2},
                    text("2"),
                ]
                assert [each.get("method") for each in first] == [
                    "notifications/progress",
                    "notifications/message",
                    "elicitation/create",
                    None,
                ]
                assert (await get.event())["params"]["data"] == "whose?"
            wire.tell("tools/list_changed")
            assert (await get.event())["method"] == "notifications/tools/list_changed"


@pytest.mark.parametrize("form", FORMS)
async def test_several_streams_to_listen_on(form: str) -> None:
    async with wired(form) as (wires, _, older), contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(older.stream()) for _ in range(4)]
        wires.wires[0].tell("message", level="info", data=1)
        assert (await streams[-1].event())["params"]["data"] == 1
        streams.append(await stack.enter_async_context(older.stream()))
        assert await streams[0].event() is None, "one too many: the oldest ends"
        streams[-1].connection.abort()
        await asyncio.sleep(0.2)
        wires.wires[0].tell("message", level="info", data=2)
        assert (await streams[-2].event())["params"]["data"] == 2


async def test_what_waits_for_a_client_is_bounded() -> None:
    async with wired("stdio") as (wires, remora, older):
        (wire,) = wires.wires
        wire.ask("first", "ping")
        for number in range(400):
            wire.tell("message", level="info", data=number)
        for number in range(300):
            wire.ask(number, "ping")
        wire.say({"id": "unknown", "result": {}})
        # Requests that have no room are answered.
        await wires.until(lambda _: len(wire.answers()) == 45)
        assert set(wire.answers()) == {"first", *range(44)}
        assert all(each["error"]["code"] == -32603 for each in wire.answers().values())
        async with older.stream() as get:
            assert [(await get.event())["id"] for _ in range(256)] == list(range(44, 300))
        before = remora.resident()
        for number in range(3000):
            wire.tell("message", level="info", data="x" * 10_000)
            if number % 100 == 0:
                await asyncio.sleep(0.02)
        assert await older.call("x", 3) == "raw"
        assert remora.resident() - before < 4 << 20


@pytest.mark.parametrize("form", FORMS)
async def test_a_client_that_leaves_takes_nothing_back(form: str) -> None:
    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        return heard.get("method") == "tools/call" and heard["params"]["name"] == "late"

    async with wired(form, script) as (wires, _, older):
        (wire,) = wires.wires
        async with await Connection.open(older.address) as connection:
            await connection.send(older.encode(call("late", 2)))
            await wires.until(lambda each: each.methods["tools/call"] == 1)
            connection.abort()
        await asyncio.sleep(0.2)
        assert wire.cancelled() == []
        wire.say({"id": 2, "result": text("late")})
        assert await older.call("x", 3) == "raw"
        # Its id is free again.
        task = asyncio.create_task(older.call("late", 2))
        await wires.until(lambda each: each.methods["tools/call"] == 3)
        wire.say({"id": 2, "result": text("again")})
        assert await task == "again"


@pytest.mark.parametrize("form", FORMS)
async def test_a_cancelled_request_that_is_not_answered(form: str) -> None:
    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        return heard.get("method") == "tools/call" and heard["params"]["name"] == "never"

    async with wired(form, script) as (wires, _, older):
        task = asyncio.create_task(older.call("never", 2))
        await wires.until(lambda each: each.methods["tools/call"] == 1)
        refused = await older.call("x", 2)
        assert refused["code"] == REFUSED and "id of its own" in refused["message"]
        assert (await older.send(message("notifications/cancelled", requestId=2))).status == 202
        await wires.until(lambda _: wires.wires[0].cancelled() == [2])
        error = await task
        assert error["code"] == -32603 and "cancelled" in error["message"]
        again = await older.call("x", 2)
        assert again["code"] == REFUSED, "its response may still come"
        assert await older.call("x", 3) == "raw"


@pytest.mark.parametrize("form", FORMS)
async def test_a_request_whose_time_is_over_is_cancelled(form: str) -> None:
    """The server hears of the cancellation, and what it says late answers no request."""

    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        return heard.get("method") == "tools/call" and heard["params"]["name"] == "never"

    async with wired(form, script, limits={"request_timeout": "1s"}) as (wires, _, older):
        error = await older.call("never", 2)
        assert error["code"] == -32603 and "limits.request_timeout" in error["message"]
        await wires.until(lambda _: wires.wires[0].cancelled() == [2])
        wires.wires[0].say({"id": 2, "result": text("late")})
        assert await older.call("x", 3) == "raw"


# Batches, which only 2025-03-26 has.


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18"])
async def test_batches(revision: str) -> None:
    lines = []

    class Batching(Wires):
        async def _hear(self, wire: Wire, heard: Any) -> None:
            if isinstance(heard, list):
                lines.append(heard)
                answers = [{"jsonrpc": "2.0", "id": each["id"], "result": text("b")} for each in heard if "id" in each]
                wire.write(json.dumps(answers[::-1]).encode() + b"\n")
            else:
                await super()._hear(wire, heard)

    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        if heard.get("method") != "initialize":
            return False
        info = {"name": "b", "version": "1"}
        wire.say({"id": heard["id"], "result": {"protocolVersion": revision, "capabilities": {}, "serverInfo": info}})
        return True

    async with Batching("stdio", script) as wires, before(wires.backend) as remora:
        older = await Older(remora.address).open(revision)
        batch = [call("x", 2), message("notifications/a"), call("x", "3")]
        answer = await older.send(batch)
        if revision == "2025-03-26":
            assert [each["id"] for each in events(answer)] == ["3", 2] and lines == [batch]
            assert (await older.send([message("notifications/a")])).status == 202
        else:
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, REFUSED)
            assert "2025-03-26" in json.loads(answer.body)["error"]["message"] and lines == []
        initialize = message("initialize", 1, protocolVersion=revision, capabilities={}, clientInfo={})
        answer = await older.send([initialize], Mcp_Session_Id=None)
        assert answer.status == 400, "initialize is in no batch"
        assert await older.call("x", 4) == "raw"


# The end.


@pytest.mark.parametrize("form", FORMS)
async def test_a_server_that_ends(form: str) -> None:
    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        if heard.get("method") != "tools/call":
            return False
        if heard["params"]["name"] == "ends":
            wire.say({"id": 8, "result": text("last words")})
            wire.end()
        return True

    async with wired(form, script) as (wires, remora, older):
        async with older.stream() as get:
            waits = asyncio.create_task(older.call("waits", "w"))
            last = asyncio.create_task(older.call("last", 8))
            await wires.until(lambda each: each.methods["tools/call"] == 2)
            error = await older.call("ends", 9)
            assert error["code"] == -32603 and error["data"] == {"reason": "outcome_unknown", "dispatched": True}
            assert (await waits)["data"]["dispatched"] is True and await last == "last words"
            assert await get.event() is None
        assert (await older.send(call("x", 1))).status == 404
        await until(lambda: not children(remora.process.pid))
        (line,) = await ended(remora, 1)
        assert (line["reason"], line["level"]) == ("lost", "warning") and line["detail"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_session_that_nobody_uses(form: str) -> None:
    async with wired(form, sessions={"idle_timeout": "1s"}) as (_, remora, older):
        other = await Older(remora.address).open()
        async with older.stream() as get:
            await asyncio.sleep(2)
            assert await older.call("x", 2) == "raw", "the stream is open"
            assert (await other.send(call("x", 2))).status == 404
            get.connection.abort()
        await asyncio.sleep(2)
        assert (await older.send(call("x", 3))).status == 404
        assert [line["reason"] for line in await ended(remora, 2)] == ["idle", "idle"]
        await until(lambda: not children(remora.process.pid))


@pytest.mark.parametrize("form", FORMS)
async def test_sessions_have_a_number(form: str) -> None:
    async with wired(form, sessions={"max": 3, "max_per_principal": 2}) as (_, remora, one):
        two = await Older(remora.address).open()
        answer = await Older(remora.address).initialize()
        error = json.loads(answer.body)
        assert (answer.status, error["id"], error["error"]["data"]["reason"]) == (503, 1, "busy")
        assert "max_per_principal" in error["error"]["message"] and answer.header("retry-after")
        other = await Older(remora.address, Authorization="Bearer o").open()
        assert (await Older(remora.address, Authorization="Bearer p").initialize()).status == 503
        # One that is waited for.
        waiting = asyncio.create_task(Older(remora.address).open())
        await asyncio.sleep(0.3)
        await two.send(None, "DELETE")
        assert await (await waiting).call("x", 2) == "raw"
        assert [await each.call("x", 2) for each in (one, other)] == ["raw", "raw"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_session_that_is_opened_during_a_reload_ends_with_its_server(form: str) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def script(wire: Wire, heard: dict[str, Any]) -> bool:
        if heard.get("method") == "initialize":
            asked.set()
            await gate.wait()
        return False

    async with Wires(form, script) as wires, before(wires.backend) as remora:
        older = Older(remora.address)
        opening = asyncio.create_task(older.initialize())
        await asyncio.wait_for(asked.wait(), 20)
        await remora.reload(remora.text.replace("backends: [{", 'backends: [{"annotations": "ignore", '))
        gate.set()
        assert (await opening).status == 200
        assert (await remora.process.event("client_session_ended"))["reason"] == "configuration"
        assert (await older.send(call("x", 3))).status == 404


async def test_messages_for_a_server_that_does_not_read_have_a_limit() -> None:
    """Their clients have left, and nothing says that they are not wanted any more."""
    async with command(limits={"stream_buffer": "1MiB"}) as (remora, older):
        await older.open()
        await older.call("deaf", 2)
        before = remora.resident()
        for number in range(64):
            async with await Connection.open(remora.address) as connection:
                await connection.send(older.encode(call("x", 100 + number, {"text": "y" * 1_000_000})))
                await asyncio.sleep(0.02)
                connection.abort()
        answer = await older.send(call("x", 99, {"text": "y" * 1_000_000}))
        assert (answer.status, json.loads(answer.body)["error"]["data"]["reason"]) == (503, "busy")
        assert remora.resident() - before < 32 << 20


@pytest.mark.parametrize("is_changed", [False, True], ids=["same", "changed"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_reload_keeps_sessions(form: str, is_changed: bool) -> None:
    """Their streams too. Those whose server has changed end with their last request, and the log says so."""
    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        return heard.get("method") == "tools/call" and heard["params"]["name"] == "slow"

    async with wired(form, script) as (wires, remora, older):
        (wire,) = wires.wires
        async with older.stream() as get:
            slow = asyncio.create_task(older.call("slow", 2))
            await wires.until(lambda each: each.methods["tools/call"] == 1)
            changed = remora.text.replace("backends: [{", 'backends: [{"annotations": "ignore", ')
            await remora.reload(changed if is_changed else remora.text)
            if is_changed:
                assert await get.event() is None, "the client opens another"
            wire.say({"id": 2, "result": text("done")})
            assert await slow == "done"
            wire.tell("tools/list_changed")
            if not is_changed:
                assert (await get.event())["method"] == "notifications/tools/list_changed"
        if is_changed:
            line = await remora.process.event("client_session_ended")
            assert (line["level"], line["reason"]) == ("warning", "configuration")
            assert (await older.send(call("x", 3))).status == 404
        else:
            async with older.stream():
                assert await older.call("x", 3) == "raw"
                assert len(wires.wires) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_a_stop_ends_all(form: str) -> None:
    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        return heard.get("method") == "tools/call" and heard["params"]["name"] == "slow"

    async with wired(form, script, limits={"shutdown_timeout": "10s"}) as (wires, remora, older):
        async with older.stream() as get:
            task = asyncio.create_task(older.call("slow", 2))
            await wires.until(lambda each: each.methods["tools/call"] == 1)
            below = children(remora.process.pid)
            stopping = asyncio.create_task(remora.process.stop())
            assert await get.event() is None
            await asyncio.sleep(0.3)
            wires.wires[0].say({"id": 2, "result": text("done")})
            assert await task == "done", "what is under way may finish"
            assert await stopping == 0
        assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


async def test_a_session_of_before_a_restart() -> None:
    """Before a server of which nothing is known yet."""
    async with Wires("sse") as wires:
        backend = {"url": wires.backend["url"], "transport": "auto"}
        async with before(backend) as remora:
            older = await Older(remora.address).open()
        async with before(backend) as remora:
            older.address = remora.address
            answer = await older.send(call("x", 2))
            assert (answer.status, json.loads(answer.body)["id"]) == (404, 2)
            older.session = None
            assert await (await older.open()).call("x", 2) == "raw"


# Several threads.


@pytest.mark.parametrize("form", FORMS)
async def test_every_thread_finds_a_session(form: str) -> None:
    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        if heard.get("method") != "tools/call" or heard["params"]["name"] != "steps":
            return False
        wire.tell("progress", progressToken="t", progress=1)
        wire.say({"id": heard["id"], "result": text("stepped")})
        return True

    async with wired(form, script, threads=4) as (wires, _, older):
        clients = [older, *[await Older(older.address).open() for _ in range(3)]]
        for client in clients:
            async with client.stream() as get:
                for number in range(2, 18):  # Each on a connection of its own, and so on any thread.
                    assert await client.call("x", number) == "raw"
                assert await client.call("steps", 20) == "stepped"
                answer = events(await client.send(call("steps", 21, token="t")))
                assert [each.get("method") for each in answer] == ["notifications/progress", None]
                # A caller of another name is told nothing, wherever it comes.
                for _ in range(4):
                    assert (await client.send(call("x", 2), Authorization="Bearer x")).status == 404
                wires.wires[clients.index(client)].tell("message", level="info", data="hear")
                assert (await get.event())["params"]["data"] == "hear"
                assert (await client.send(None, "DELETE")).status == 200
                assert await get.event() is None
            for _ in range(4):
                assert (await client.send(call("x", 2))).status == 404


# Odd servers.


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_no_message_is_passed_over(form: str) -> None:
    begin, end = (b"", b"\n") if form == "stdio" else (b"data: ", b"\n\n")

    def script(wire: Wire, heard: dict[str, Any]) -> bool:
        if heard.get("method") not in ("initialize", "tools/call"):
            return False
        if form == "sse":
            wire.write(b"event: ping\ndata: ping\n\n: comment\n\n")
        odd = [b"[INFO] starting", b"{oops", b'{"type":"heartbeat"}', b'{"jsonrpc":"2.0","id":[],"method":"x"}', b"[1]", b"null"]
        odd += [b'{"jsonrpc":"2.0","id":99,"result":{}}', b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}']
        for each in odd:
            wire.write(begin + each + end)
        if heard["method"] == "initialize":
            return False
        wire.write(begin + b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}' + end)
        wire.write(begin + b'{"jsonrpc":"2.0","id":"2","result":{"content":[{"type":"text","text":"odd"}]}}' + end)
        return True

    async with wired(form, script) as (_, _, older):
        answer = events(await older.send(call("x", 2)))
        assert answer[0] == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": None}
        assert answer[1]["id"] == "2", "as the server spells it"


async def test_a_server_that_does_not_read_holds_up_its_client_alone() -> None:
    """What a client sends meanwhile waits in its own connections."""
    async with command(limits={"backend_idle_timeout": "2s", "stream_buffer": "64KiB"}) as (remora, older):
        await older.open()
        other = await Older(remora.address).open()
        assert await older.call("deaf", 2) == "deaf from now on"
        before = remora.resident()
        big = message("notifications/x", text="x" * 1_000_000)
        answers = await asyncio.gather(*[older.send(big) for _ in range(20)])
        assert {answer.status for answer in answers} <= {202, 503}
        assert [answer.status for answer in answers].count(503) >= 15
        assert await other.call("x", 2) == "raw"
        assert remora.resident() - before < 60 << 20


async def test_many_at_once_wait_until_a_slow_server_takes_what_they_send() -> None:
    """More than may be on their way to it for all callers without credentials, which are one."""
    crowd = 200
    sessions = {"max": crowd, "max_per_principal": crowd}
    async with wired("sse", threads=1, sessions=sessions, limits={"max_connections": 4 * crowd}) as (wires, remora, first):
        olders = [first, *[await Older(remora.address).open() for _ in range(crowd - 1)]]
        wires.taking = 0.3
        assert await asyncio.gather(*[older.call("x", 2) for older in olders]) == ["raw"] * crowd


async def test_a_slow_reader_makes_its_server_wait() -> None:
    async with command(limits={"stream_buffer": "64KiB"}) as (remora, older):
        await older.open()
        other = await Older(remora.address).open()
        async with await Connection.open(remora.address) as slow:
            await slow.send(older.encode(call("progress", 2, {"count": 4000, "size": 10_000}, token="t")))
            await asyncio.sleep(0.5)
            before = remora.resident()
            assert await other.call("x", 2) == "raw"
            await asyncio.sleep(0.5)
            assert remora.resident() - before < 8 << 20
            answer = events(await slow.receive(timeout=60))
            assert len(answer) == 4001 and answer[-1]["result"]


# Beside modern clients.


@pytest.mark.parametrize("form", FORMS)
async def test_modern_clients_beside_them(form: str) -> None:
    async with wired(form) as (wires, remora, older):
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            assert await older.call("x", 2) == "raw"
        assert len(wires.wires) == 2


async def test_refused_where_they_are_not_wanted() -> None:
    async with command(listen={"legacy_clients": "refuse"}) as (_, older):
        answer = await older.initialize()
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, -32022)


# Nothing is left.

QUICK = """
while read -r line; do
  id=${line##*'"id":'}
  id=${id%%[,\}]*}
  case "$line" in
    *'"initialize"'*) result='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"q","version":"1"}}';;
    *'"tools/call"'*) result='{"content":[{"type":"text","text":"raw"}]}';;
    *'"tools/list"'*) result='{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}';;
    *) continue;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
"""


async def metric(address: str, name: str) -> float:
    async with await Connection.open(address) as connection:
        await connection.send(f"GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        body = (await connection.receive("GET")).body.decode()
    return sum(float(line.rpartition(" ")[2]) for line in body.splitlines() if line.startswith(name))


def agrees(wire: Wire, heard: dict[str, Any]) -> bool:
    """Speaks what all clients here do."""
    if heard.get("method") != "initialize":
        return False
    info = {"name": "q", "version": "1"}
    wire.say({"id": heard["id"], "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}})
    return True


@contextlib.asynccontextmanager
async def crowded(form: str, crowd: int) -> AsyncIterator[tuple[Remora, str]]:
    """With the address of its admin listener. In the end nothing may be left of what came."""
    changes = {
        "threads": 2,
        "sessions": {"max": 2 * crowd + 2, "max_per_principal": 2 * crowd + 2},
        "admin": {"address": "127.0.0.1:0"},
        # A crowd in one process may take its time between a connection and the request on it.
        "limits": {"max_connections": 4 * crowd, "header_timeout": "120s"},
        "log": {"level": "info"},
    }
    async with contextlib.AsyncExitStack() as stack:
        if form == "stdio":
            backend: Any = {"command": ["sh", "-c", QUICK.replace("${", "$${")]}
        else:
            backend = (await stack.enter_async_context(Wires("sse", agrees))).backend
        remora = await stack.enter_async_context(before(backend, **changes))
        yield remora, (await remora.process.event("admin_listening"))["address"]


async def left_behind(remora: Remora, admin: str) -> tuple[int, int]:
    """Waits until no session and no process is left, and says how many descriptors and bytes there are."""
    await until(lambda: not children(remora.process.pid), timeout=60)
    async with asyncio.timeout(60):
        while await metric(admin, 'remora_sessions{state="open"}') or await metric(admin, "remora_client_connections"):
            await asyncio.sleep(0.1)
    return remora.descriptors(), remora.resident()


async def judge(form: str, remora: Remora, admin: str, crowd: int, measured: list[tuple[int, int]]) -> None:
    rounds = len(measured)
    opened = await metric(admin, "remora_sessions_opened_total")
    assert opened == crowd * rounds
    soak.tell(
        f"{form}: {crowd} at once, {rounds} times: descriptors {measured[0][0]} to {measured[-1][0]}, "
        f"memory {soak.mebibytes(measured[0][1])} to {soak.mebibytes(measured[-1][1])}"
    )
    # Idle connections to the server live for 3 s.
    await until(lambda: remora.descriptors() <= measured[0][0] + 2, timeout=15)
    if rounds > 10:
        assert measured[-1][1] - measured[rounds // 5][1] < 8 << 20
    assert len(await ended(remora, int(opened))) == opened
    assert not log_lines(remora, "internal_error")


@pytest.mark.timeout(soak.size(120, 3600))
@pytest.mark.parametrize("form", FORMS)
async def test_a_crowd_leaves_nothing_behind(form: str) -> None:
    crowd, rounds = soak.size(40, 200), soak.size(3, 50)

    async def visit(address: str, number: int) -> None:
        older = await Older(address).open()
        async with older.stream() as get:
            assert await older.call("x", 2) == "raw"
            match number % 4:
                case 0 | 1:
                    assert (await older.send(None, "DELETE", timeout=60)).status == 200
                    assert await get.event() is None
                case 2:  # Goes away, and comes back for the end.
                    get.connection.abort()
                    assert await older.call("x", 2) == "raw"
                    assert (await older.send(None, "DELETE", timeout=60)).status == 200
                case 3:  # In the middle of a call.
                    async with await Connection.open(address) as connection:
                        await connection.send(older.encode(call("x", 2)))
                        connection.abort()
                    assert (await older.send(None, "DELETE", timeout=60)).status == 200

    async with crowded(form, crowd) as (remora, admin):
        measured = []
        for _ in range(rounds):
            await asyncio.gather(*[visit(remora.address, number) for number in range(crowd)])
            measured.append(await left_behind(remora, admin))
        await judge(form, remora, admin, crowd, measured)


@pytest.mark.timeout(soak.size(120, 3600))
@pytest.mark.parametrize("version", ["1.30.0", "1.12.4"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_crowd_of_published_clients_leaves_nothing_behind(form: str, version: str) -> None:
    crowd, rounds = soak.size(20, 200), soak.size(2, 50)
    async with crowded(form, crowd) as (remora, admin):
        url, script = f"http://{remora.address}/mcp", str(SERVERS / "older_crowd.py")
        measured = []
        for _ in range(rounds):
            async with await Process.start(venv(f"legacy-{version}"), script, url, str(crowd)) as clients:
                try:
                    await clients.event("done", timeout=soak.size(60, 900))
                except AssertionError as error:
                    refused = [line for line in log_lines(remora, "request") if line["status"] >= 400]
                    raise AssertionError(f"Remora refused {refused[:3]}") from error
                assert await clients.wait() == 0
            measured.append(await left_behind(remora, admin))
        await judge(form, remora, admin, crowd, measured)
