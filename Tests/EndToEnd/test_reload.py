"""SIGHUP: the configuration is read anew, and no caller notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from harness import http1
from harness.http1 import Connection
from harness.listener import Listener
from harness.modern import OMIT, Answer, Client, call, encode, request
from harness.remora import Remora, configuration
from harness.stack import settles
from servers.raw import Exchange, PushBackend, RawBackend
from test_admin import admin_address, get, status
from test_sessions import held


CHANGED = {"annotations": "ignore"}
"""A section of a server that is not the same any more: its sessions end."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


async def test_what_is_in_flight_ends_under_the_old_and_the_next_request_is_the_new_ones() -> None:
    gate = asyncio.Event()
    new = RawBackend(results={"tools/call": b'{"content":[{"type":"text","text":"new"}]}'})
    async with RawBackend(held(gate)) as old, new, Remora(configuration(old.url)) as remora:  # type: ignore[arg-type]
        async with await Connection.open(remora.address) as busy, Client(remora.address) as client:
            await busy.send(encode(call("x"), host=remora.address))
            await old.until(lambda raw: raw.methods["tools/call"] == 1)
            await remora.reload(configuration(new.url))
            assert (await client.call("x")).text == "new"
            gate.set()
            assert Answer(await busy.receive()).text == "raw"
            await old.until(lambda raw: raw.methods["DELETE"] == 1)
            assert old.sessions == set()
            # The connection is kept, and its next request is served under the new one.
            assert Answer(await busy.exchange(encode(call("x"), host=remora.address))).text == "new"
        assert old.methods["initialize"] == new.methods["initialize"] == 1


async def test_a_wrong_file_changes_nothing_and_is_explained() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        assert (await client.call("x")).text == "raw"
        wrong = configuration("http://127.0.0.1:9/mcp", sesions={"max": 1}, limits={"max_body": "much"})
        await remora.reload(wrong, "reload_failed")
        await remora.process.line(lambda line: "max_body" in line and "reload_failed" in line)
        failures = [each for each in remora.process.events() if each["event"] == "reload_failed"]
        lines = wrong.splitlines()
        assert len(failures) == 2 and all(each["level"] == "error" for each in failures)
        for key, words in (("sesions", "did you mean"), ("max_body", "much")):
            number = next(index for index, line in enumerate(lines, 1) if line.strip().startswith(key))
            assert any(f":{number}:" in each["detail"] and words in each["detail"] for each in failures), failures
        assert (await client.call("x")).text == "raw"
        assert raw.methods["initialize"] == 1, "not even the session was given up"
        remora.path.unlink()
        failure = await remora.hangup("reload_failed")
        assert "cannot be read" in failure["detail"]
        await remora.reload(remora.text)
        assert (await client.call("x")).text == "raw"


async def test_without_a_file_there_is_nothing_to_read() -> None:
    from harness.processes import Process, binary

    async with RawBackend() as raw:
        command = [binary("remora"), "--backend", raw.url, "--listen", "127.0.0.1:0"]
        async with await Process.start(*command) as process:
            address = (await process.event("listening"))["address"]
            process.child.send_signal(1)
            assert "without a configuration file" in (await process.event("reload_failed"))["detail"]
            async with Client(address) as client:
                assert (await client.call("x")).text == "raw"
            assert await process.stop() == 0


@pytest.mark.parametrize("threads", [1, 3])
async def test_another_address(threads: int) -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url, threads=threads)) as remora:
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
            with socket.create_server(("127.0.0.1", 0)) as taken:
                address = f"127.0.0.1:{taken.getsockname()[1]}"
                text = configuration(raw.url, threads=threads, listen={"address": address})
                failure = await remora.reload(text, "reload_failed")
                assert address in failure["detail"] and "listen.address" in failure["detail"]
                async with Client(remora.address) as other:
                    assert (await other.call("x")).text == "raw"
            new = f"127.0.0.1:{free_port()}"
            await remora.reload(configuration(raw.url, threads=threads, listen={"address": new}))
            for _ in range(3 * threads):
                async with Client(new) as other:
                    assert (await other.call("x")).text == "raw"
            async with asyncio.timeout(5):
                with contextlib.suppress(ConnectionError):
                    while True:  # Until that address is closed.
                        await (await Connection.open(remora.address)).close()
            assert (await client.call("x")).text == "raw", "a connection outlives its listener"


async def test_limits_of_connections_are_those_of_new_ones() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as old:
        assert (await old.call("x")).text == "raw"
        await remora.reload(configuration(raw.url, limits={"max_body": "1KiB"}))
        assert (await old.call("x", {"text": "y" * 2000})).text == "raw"
        async with Client(remora.address) as new:
            assert (await new.call("x", {"text": "y" * 2000})).status == 413


async def test_the_limit_of_connections() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url, limits={"max_connections": 1})) as remora:
        async with Client(remora.address) as first, Client(remora.address) as second:
            assert (await first.call("x")).text == "raw"
            waiting = asyncio.create_task(second.call("x"))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await remora.reload(configuration(raw.url, limits={"max_connections": 2}))
            assert (await waiting).text == "raw"


async def test_listeners_get_their_end_and_may_come_back() -> None:
    async with PushBackend() as raw, Remora(configuration(raw.url)) as remora:
        async with Listener(remora.address, toolsListChanged=True) as listener:
            await remora.reload(configuration(raw.url, server=CHANGED))
            assert (await listener.end())["result"]["resultType"] == "complete"
            await raw.until(lambda raw: raw.methods["DELETE"] == 1)
            raw.streams.clear()
            async with Listener(remora.address, toolsListChanged=True) as again:
                await raw.tell(b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
                assert await again.notice() == "tools/list_changed"


async def test_a_stream_that_is_passed_through_ends() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.request.method != "GET":
            return False
        await exchange.stream_head()
        await asyncio.sleep(60)
        return True

    text = {"listen": {"legacy_clients": "pass"}}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, **text)) as remora:
        async with await Connection.open(remora.address) as connection:
            get = encode(
                b"", method="GET", host=remora.address, Content_Length=OMIT, MCP_Protocol_Version="2025-11-25"
            )
            await connection.send(get)
            assert await http1.read_head(connection.reader) is not None
            await remora.reload(configuration(raw.url, server=CHANGED, **text))
            async with asyncio.timeout(5):
                assert await connection.reader.readexactly(5) == b"0\r\n\r\n", "a proper end, and the connection is kept"
            assert Answer(await connection.exchange(encode(call("x"), host=remora.address))).text == "raw"


async def test_what_was_sealed_before_opens_after() -> None:
    tool = '{"name":"t%d","inputSchema":{"type":"object"},"description":"%s"}'
    many = ",".join(tool % (number, "d" * 100_000) for number in range(30))
    results = {"tools/list": b'{"tools":[%s]}' % many.encode()}
    async with RawBackend(results=results) as raw, Remora(configuration(raw.url)) as remora:
        async with Client(remora.address) as client:
            first = (await client.send(request("tools/list"))).result
            assert first["nextCursor"]
            await remora.reload(configuration(raw.url))
            second = (await client.send(request("tools/list", {"cursor": first["nextCursor"]}))).result
            assert second["tools"][0]["name"] == f"t{len(first['tools'])}"


async def test_log_and_admin() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        on: dict[str, Any] = {"admin": {"address": "127.0.0.1:0"}}
        await remora.reload(configuration(raw.url, **on))
        first = await admin_address(remora)
        assert (await client.call("x")).text == "raw"
        await remora.reload(configuration(raw.url, log={"level": "warning"}, **on), "reloaded")
        shown = await status(first)
        assert shown["requests"]["total"] == 1, "what was counted stays"
        assert (await get(first, "/readyz")).status == 200
        lines = len(remora.process.lines)
        await client.call("x")
        await asyncio.sleep(0.2)
        assert len(remora.process.lines) == lines, "requests are not logged any more"
        other = f"127.0.0.1:{free_port()}"
        remora.path.write_text(configuration(raw.url, admin={"address": other}))
        remora.process.child.send_signal(1)
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(ConnectionError):
                    assert (await status(other))["requests"]["total"] == 2
                    break
                await asyncio.sleep(0.02)
        with pytest.raises(ConnectionError):
            await status(first)
        await remora.reload(configuration(raw.url, admin={"address": "off"}))
        with pytest.raises(ConnectionError):
            await status(other)


async def test_threads_stay() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        await remora.reload(configuration(raw.url, threads=3, listen={"path": "/other"}))
        assert (await remora.process.event("needs_restart"))["key"] == "threads"
        assert (await client.call("x", target="/other")).text == "raw", "everything else is taken over"


async def test_reloads_leave_nothing_behind() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        texts = [configuration(raw.url, server=CHANGED), configuration(raw.url)]
        for number in range(3):
            await client.call("x")
            await remora.reload(texts[number % 2])
        await raw.until(lambda raw: raw.methods["DELETE"] == 3)
        before = remora.descriptors()
        for number in range(20):
            await client.call("x")
            await remora.reload(texts[number // 2 % 2])
        await settles(remora.descriptors, before)
        assert raw.sessions == set() or len(raw.sessions) == 1


@pytest.mark.parametrize("threads", [1, 2])
async def test_to_a_unix_socket_and_back(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "remora.sock"
    async with RawBackend() as raw, Remora(configuration(raw.url, threads=threads)) as remora:
        await remora.reload(configuration(raw.url, threads=threads, listen={"address": f"unix:{path}"}))
        for _ in range(3):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(encode(call("x"), host="localhost"))
            answer = await http1.read_response(reader)
            assert answer is not None and Answer(answer).text == "raw"
            writer.close()
        changed = {"address": f"unix:{path}", "socket_mode": "0600"}
        await remora.reload(configuration(raw.url, threads=threads, listen=changed))
        assert (await remora.process.event("needs_restart"))["key"] == "listen.socket_mode"
        back = f"127.0.0.1:{free_port()}"
        await remora.reload(configuration(raw.url, threads=threads, listen={"address": back}))
        async with Client(back) as client:
            assert (await client.call("x")).text == "raw"
        assert not path.exists()


ELICITATION = {"elicitation": {"form": {}}}
ANSWERED = {"action": "accept", "content": {"name": "Ada"}}


def question(before: Answer | None = None) -> dict[str, Any]:
    """A call during which the server asks, or the retry that brings the answer."""
    message = call("ask", {"questions": ["elicitation"], "who": "Q"}, clientCapabilities=ELICITATION)
    if before is not None:
        message["params"]["requestState"] = before.result["requestState"]
        message["params"]["inputResponses"] = {key: ANSWERED for key in before.result["inputRequests"]}
    return message


async def test_a_call_that_waits_for_its_client_is_found_after_reloads(lab: str) -> None:
    async with Remora(configuration(f"http://{lab}/mcp")) as remora, Client(remora.address) as client:
        asked = await client.send(question())
        assert asked.result["resultType"] == "input_required"
        for _ in range(3):
            await remora.hangup()
        async with Client(remora.address) as another:
            answer = await another.send(question(asked))
            assert ANSWERED == json.loads(answer.text)[0]


async def test_a_call_that_waits_for_its_client_has_its_time_at_the_end(lab: str) -> None:
    """No other process could go on with it; its client has a connection, which is kept as long."""
    limits = {"shutdown_timeout": "20s"}
    async with Remora(configuration(f"http://{lab}/mcp", limits=limits)) as remora:
        async with Client(remora.address) as client:
            asked = await client.send(question())
            remora.process.terminate()
            await remora.process.event("draining")
            await asyncio.sleep(2)
            answer = await client.send(question(asked))
            assert ANSWERED == json.loads(answer.text)[0]
        start = asyncio.get_running_loop().time()
        assert await remora.process.wait() == 0
        assert asyncio.get_running_loop().time() - start < 5


async def test_a_client_that_does_not_come_back_does_not_hold_up_the_end_for_ever(lab: str) -> None:
    limits = {"shutdown_timeout": "3s"}
    async with Remora(configuration(f"http://{lab}/mcp", limits=limits)) as remora, Client(remora.address) as client:
        assert (await client.send(question())).result["resultType"] == "input_required"
        start = asyncio.get_running_loop().time()
        remora.process.terminate()
        assert await remora.process.wait() == 0
        assert asyncio.get_running_loop().time() - start < 3.5


async def test_localhost_is_one_in_any_case() -> None:
    """It was a right address to the check, and none to the system: the reload ended the process."""
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora:
        await remora.reload(configuration(raw.url, listen={"address": "LOCALHOST:0"}, admin={"address": "LocalHost:0"}))
        address = [each["address"] for each in remora.process.events() if each["event"] == "listening"][-1]
        assert address != remora.address
        async with Client(address) as client:
            assert (await client.call("x")).text == "raw"


async def test_a_pipe_in_the_place_of_the_file_holds_up_nobody() -> None:
    async with RawBackend() as raw, Remora(configuration(raw.url)) as remora, Client(remora.address) as client:
        remora.path.unlink()
        os.mkfifo(remora.path)
        assert "is no plain file" in (await remora.hangup("reload_failed"))["detail"]
        assert (await client.call("x")).text == "raw"
