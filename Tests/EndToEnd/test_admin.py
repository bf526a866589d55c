"""What an operator sees: probes, metrics, the status page."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import socket
import string
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness import prometheus
from harness.http1 import Connection, Message
from harness.modern import Client, call, encode, request
from harness.processes import ROOT
from harness.prometheus import Metrics
from harness.remora import Remora, check, configuration
from harness.stack import Stack, settled, stack
from servers.raw import Exchange, RawBackend

ADMIN = {"address": "127.0.0.1:0"}
DURATION = "mcp_server_operation_duration_seconds"


async def admin_address(remora: Remora) -> str:
    return (await remora.process.event("admin_listening"))["address"]


async def get(address: str, path: str, *, method: str = "GET", host: str | None = None, **headers: str) -> Message:
    lines = [f"Host: {host or address}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    async with await Connection.open(address) as connection:
        return await connection.exchange(head.encode(), method)


async def metrics(address: str) -> Metrics:
    answer = await get(address, "/metrics")
    assert answer.status == 200
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    return prometheus.parse(answer.body.decode())


async def status(address: str) -> dict[str, Any]:
    answer = await get(address, "/status.json")
    assert answer.status == 200 and answer.media_type == "application/json"
    return json.loads(answer.body)


@contextlib.asynccontextmanager
async def observed(backend: str, **changes: Any) -> AsyncIterator[tuple[Stack, str]]:
    async with stack(backend, admin=ADMIN, **changes) as running:
        yield running, await admin_address(running.remora)


# Probes


async def test_without_the_section_there_is_no_listener() -> None:
    async with RawBackend() as raw, stack(raw.address) as running:
        await running.client.call("x")
        assert "admin_listening" not in {each["event"] for each in running.remora.process.events()}


async def test_ready_until_the_signal() -> None:
    """While calls in flight end, the probe says that no more should come; liveness is not in doubt."""
    release = asyncio.Event()

    async def slow(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await release.wait()
        await exchange.json(exchange.response(b'{"content":[]}'))
        return True

    async with RawBackend(slow) as raw, Remora(configuration(raw.url, admin=ADMIN)) as remora:
        admin = await admin_address(remora)
        assert (await get(admin, "/readyz")).status == 200
        assert (await get(admin, "/healthz")).status == 200
        async with Client(remora.address) as client:
            running = asyncio.create_task(client.call("x"))
            await raw.until(lambda raw: raw.methods["tools/call"] == 1)
            assert (await metrics(admin)).value("http_server_active_requests") == 1
            remora.process.terminate()
            await remora.process.event("draining")
            answer = await get(admin, "/readyz")
            assert (answer.status, answer.body) == (503, b"draining\n")
            assert (await get(admin, "/healthz")).status == 200
            assert (await status(admin))["state"] == "draining"
            release.set()
            assert (await running).status == 200
        assert await remora.process.wait() == 0


async def test_ready_follows_the_server() -> None:
    """A server that is away makes Remora unready, and one that has come back is found without a call."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with Remora(configuration(f"http://127.0.0.1:{port}/mcp", admin=ADMIN)) as remora:
        admin = await admin_address(remora)
        answer = await get(admin, "/readyz")
        assert (answer.status, answer.body) == (503, b"the MCP server cannot be reached\n")
        assert (await get(admin, "/healthz")).status == 200, "to restart Remora would not help"
        assert (await status(admin))["state"] == "backend_unreachable"
        assert (await metrics(admin)).total("remora_backend_reachable") == 0
        with socket.create_server(("127.0.0.1", port)):
            async with asyncio.timeout(15):
                while (await get(admin, "/readyz")).status != 200:
                    await asyncio.sleep(0.2)
            assert (await status(admin))["state"] == "ready"
            assert (await metrics(admin)).total("remora_backend_reachable") == 1


async def test_a_server_that_swallows_packets_does_not_hold_up_the_probe() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(full.getsockname())
            waiting.append(client)
        await asyncio.sleep(0.1)
        text = configuration(f"http://127.0.0.1:{full.getsockname()[1]}/mcp", admin=ADMIN)
        async with Remora(text) as remora:
            admin = await admin_address(remora)
            answers = await asyncio.wait_for(asyncio.gather(*(get(admin, "/readyz") for _ in range(5))), 3)
            assert {answer.status for answer in answers} == {503}
            assert (await metrics(admin)).total("remora_backend_connects_total") == 0
        for client in waiting:
            client.close()


async def test_probes_keep_no_connection_from_ending() -> None:
    """An idle connection must not outlive the server's patience because it is looked at (decision 0008)."""
    async with RawBackend() as raw, observed(raw.address) as (running, admin):

        async def connects() -> float:
            return (await metrics(admin)).total("remora_backend_connects_total")

        # Longer than an attempt to connect is believed, on one connection.
        for _ in range(11):
            await running.client.call("x")
            await asyncio.sleep(0.5)
        before = await connects()
        async with asyncio.timeout(5):
            while await connects() == before:
                assert (await get(admin, "/readyz")).status == 200
                await asyncio.sleep(0.2)


# Metrics


async def test_known_traffic_gives_exact_numbers() -> None:
    results = {"tools/call": b'{"content":[{"type":"text","text":"raw"}]}'}

    async def script(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        name = exchange.message["params"]["name"]
        if name == "refused":
            await exchange.json(exchange.error(-32602))
        elif name == "odd":
            await exchange.json(exchange.error(-31999))
        elif name == "broken":
            await exchange.json(b"{")
        elif name == "talks":
            note = {"progressToken": exchange.message["params"]["_meta"]["progressToken"]}
            lines = [
                json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {**note, "progress": n}})
                for n in (1, 2, 3)
            ]
            await exchange.sse(*(line.encode() for line in lines), exchange.response(results["tools/call"]))
        else:
            return False
        return True

    async with RawBackend(script) as raw, observed(raw.address) as (running, admin):
        client = running.client
        before = await metrics(admin)
        sent = [encode(call("x"), host=client.address) for _ in range(7)]
        for _ in range(7):
            assert (await client.call("x")).status == 200
        for name in ("refused", "odd", "broken"):
            assert "error" in (await client.call(name)).json
        talk = call("talks")
        talk["params"]["_meta"]["progressToken"] = 1
        talked = await client.send(talk)
        assert len(talked.messages) == 4
        assert (await client.send(request("tools/list"))).status == 200
        assert (await client.send(request("server/discover"))).status == 200
        assert (await client.send(b"{")).status == 400
        assert (await client.send(call("x"), target="/elsewhere")).status == 404
        assert (await client.send(request("no/such"))).status == 404
        assert (await client.call("x", Authorization="Bearer other")).status == 200

        found = await metrics(admin)
        method = {"mcp_method_name": "tools/call"}
        assert found.value(f"{DURATION}_count", **method) == 9
        assert found.value(f"{DURATION}_count", **method, error_type="-32602") == 1
        assert found.value(f"{DURATION}_count", **method, error_type="_OTHER") == 1
        assert found.value(f"{DURATION}_count", **method, error_type="-32603") == 1
        assert 0 < found.value(f"{DURATION}_sum", **method) < 10
        assert found.value(f"{DURATION}_count", mcp_method_name="tools/list") == 1
        assert found.value(f"{DURATION}_count", mcp_method_name="server/discover") == 1
        other = {"mcp_method_name": "_OTHER"}
        assert found.value(f"{DURATION}_count", **other, error_type="-32700") == 1
        assert found.value(f"{DURATION}_count", **other, error_type="-32600") == 1
        assert found.value(f"{DURATION}_count", **other, error_type="-32601") == 1
        assert found.value("remora_http_responses_total", http_response_status_code="200") == 14
        assert found.value("remora_http_responses_total", http_response_status_code="400") == 1
        assert found.value("remora_http_responses_total", http_response_status_code="404") == 2
        assert found.value("remora_errors_total", side="client", error_type="-32700") == 1
        assert found.value("remora_errors_total", side="client", error_type="-32601") == 1
        assert found.value("remora_errors_total", side="backend", error_type="-32602") == 1
        assert found.value("remora_errors_total", side="backend", error_type="-32603") == 1
        assert found.value("remora_backend_errors_total", error_type="outcome_unknown") == 1
        assert found.value("remora_backend_errors_total", error_type="unavailable") == 0
        assert found.value("remora_notifications_forwarded_total") == 3
        assert found.value("http_server_active_requests") == 0
        count = found.value("http_server_request_body_size_bytes_count")
        assert count == 17 == found.value("http_server_response_body_size_bytes_count")
        body = len(sent[0].split(b"\r\n\r\n", 1)[1])
        assert found.value("http_server_request_body_size_bytes_sum") > 7 * body
        assert found.value("remora_sessions", state="open") == 2
        assert found.value("remora_sessions_opened_total") == 2
        assert found.value("remora_sessions_failed_total") == 0
        assert found.total("remora_sessions_lost_total") == 0
        assert found.value("remora_client_connections") == 1
        assert found.total("remora_backend_connects_total") >= 1
        assert found.total("remora_backend_reachable") == 1
        version = (await status(admin))["version"]
        assert found.value("remora_build_info", version=version, mcp_protocol_version="2026-07-28") == 1
        assert found.value("process_resident_memory_bytes") > 1 << 20
        assert found.value("process_open_fds") > 3
        assert found.value("process_start_time_seconds") == before.value("process_start_time_seconds")
        assert found.value("process_cpu_seconds_total") >= before.value("process_cpu_seconds_total")


async def test_every_thread_is_counted() -> None:
    async with RawBackend() as raw, observed(raw.address, threads=3) as (running, admin):
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(24):
                client = await clients.enter_async_context(Client(running.remora.address))
                assert (await client.call("x")).status == 200
            found = await metrics(admin)
        assert found.value(f"{DURATION}_count", mcp_method_name="tools/call") == 24
        assert found.value("remora_threads") == 3
        assert found.value("remora_client_connections") == 24
        assert 1 <= found.value("remora_sessions", state="open") <= 3


async def test_sessions_that_end_are_counted_by_their_end() -> None:
    async def forgetful(exchange: Exchange) -> bool:
        if exchange.method == "tools/call" and exchange.message["params"]["name"] == "forget":
            raw.sessions.clear()
            raw.script = None
            await exchange.reply(404, b"")
            return True
        return False

    sessions = {"max": 1}
    async with RawBackend(forgetful) as raw, observed(raw.address, sessions=sessions) as (running, admin):
        assert (await running.client.call("forget")).status == 200, "sent again on a new session"
        assert (await running.client.call("x", Authorization="Bearer other")).status == 200
        found = await metrics(admin)
        assert found.value("remora_sessions_opened_total") == 3
        assert found.value("remora_sessions_lost_total", reason="server") == found.total("remora_sessions_lost_total") == 1
        assert found.value("remora_sessions_evicted_total") == 1
        assert found.value("mcp_client_session_duration_seconds_count") == 2
        assert found.value("remora_sessions", state="open") == 1


async def test_a_call_that_finds_nobody() -> None:
    async with Remora(configuration("http://127.0.0.1:9/mcp", admin=ADMIN)) as remora:
        admin = await admin_address(remora)
        async with Client(remora.address) as client:
            assert (await client.call("x")).status == 503
        found = await metrics(admin)
        assert found.value("remora_backend_errors_total", error_type="unavailable") == 1
        assert found.value("remora_sessions_failed_total") == 1
        assert found.total("remora_backend_connect_failures_total") == 2, "at the start, and for the call"
        assert (await status(admin))["backend_errors"] == {"unavailable": 1}
        page = (await get(admin, "/status")).body.decode()
        assert "server unreachable" in page and "cannot be reached" in page


async def test_no_client_makes_series() -> None:
    """Methods, paths, names, hosts, callers and sessions: whatever is sent, the series stay the same."""
    chance = random.Random(1)

    def word() -> str:
        return "".join(chance.choices(string.ascii_letters, k=12))

    async def strange(client: Client) -> None:
        kind = chance.randrange(6)
        if kind == 0:
            await client.send(request(f"{word()}/{word()}"))
        elif kind == 1:
            await client.send(call("x"), target=f"/{word()}")
        elif kind == 2:
            await client.call(word(), Authorization=f"Bearer {word()}")
        elif kind == 3:
            await client.send(call("x"), method=word().upper())
        elif kind == 4:
            await client.send(call("x"), Mcp_Name=word())
        else:
            await client.send(request("resources/read", {"uri": f"file:///{word()}"}))

    async with RawBackend() as raw, observed(raw.address, sessions={"max": 8}) as (running, admin):
        for _ in range(150):
            await strange(running.client)
        known = (await metrics(admin)).series()
        for _ in range(300):
            await strange(running.client)
        found = await metrics(admin)
        assert found.series() == known
        assert sum(value for (name, _), value in found[DURATION].samples.items() if name.endswith("_count")) == 450
        # Every method with every error in 20 lines, and a margin for the rest.
        assert len(known) < 11 * 10 * 20 + 300


async def test_promtool_agrees() -> None:
    program = shutil.which("promtool") or str(ROOT / ".build" / "tools" / "promtool")
    assert os.access(program, os.X_OK), "promtool is missing: run Tests/setup first"
    async with RawBackend() as raw, observed(raw.address) as (running, admin):
        await running.client.call("x")
        await running.client.send(b"{")
        text = (await get(admin, "/metrics")).body
        checked = await asyncio.to_thread(
            subprocess.run, [program, "check", "metrics"], input=text, capture_output=True, timeout=30
        )
        assert checked.returncode == 0 and not checked.stderr, checked.stderr.decode()


# Secrets


async def test_no_secret_is_shown() -> None:
    """Neither tokens nor session ids, nor URIs, arguments and tool names, nor what is behind the server's host."""
    token, tool, argument, uri, query = "t0ken-53cr3t", "t00l-53cr3t", "arg-53cr3t", "file:///53cr3t", "key=53cr3t"
    async with RawBackend() as raw:
        sessions = {"isolate_by": ["authorization", "header:X-Tenant"]}
        text = configuration(f"{raw.url}?{query}", admin=ADMIN, sessions=sessions)
        async with Remora(text) as remora, Client(remora.address) as client:
            admin = await admin_address(remora)
            headers = {"Authorization": f"Bearer {token}", "X_Tenant": "tenant-53cr3t"}
            await client.call(tool, {"a": argument}, **headers)
            await client.send(request("resources/read", {"uri": uri}), **headers)
            await client.send(b"53cr3t", **headers)
            await client.send(call("x"), target="/53cr3t", **headers)
            shown = [(await get(admin, path)) for path in ("/metrics", "/status", "/status.json", "/readyz", "/53cr3t")]
            assert raw.sessions, "there is a session id to look for"
            for answer in shown:
                everything = answer.raw_head + answer.body
                assert b"53cr3t" not in everything, everything
                for session in raw.sessions:
                    assert session.encode() not in everything


# The door


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/status", "/status.json", "/"])
async def test_only_reading(path: str) -> None:
    async with RawBackend() as raw, observed(raw.address) as (_, admin):
        full = await get(admin, path)
        head = await get(admin, path, method="HEAD")
        assert head.status == full.status in (200, 303) and head.body == b""
        same = {"content-type", "content-security-policy", "x-content-type-options", "cache-control", "location"}
        for name in same:
            assert head.header(name) == full.header(name)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            refused = await get(admin, path, method=method, Content_Length="0")
            assert refused.status == 405 and refused.header("allow") == "GET, HEAD"


async def test_headers_that_protect() -> None:
    async with RawBackend() as raw, observed(raw.address) as (_, admin):
        for path in ("/healthz", "/metrics", "/status", "/status.json", "/", "/nothing"):
            answer = await get(admin, path)
            assert (answer.header("content-security-policy") or "").startswith("default-src 'none'; ")
            assert "frame-ancestors 'none'" in (answer.header("content-security-policy") or "")
            assert answer.header("x-content-type-options") == "nosniff"
            assert answer.header("cache-control") == "no-store"
            assert answer.header("referrer-policy") == "no-referrer"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9908", "127.0.0.1.evil.example", "10.0.0.1"])
async def test_a_rebound_name_sees_nothing(host: str) -> None:
    async with RawBackend() as raw, observed(raw.address) as (_, admin):
        for path in ("/metrics", "/status", "/healthz"):
            answer = await get(admin, path, host=host)
            assert answer.status == 421 and b"allowed_hosts" in answer.body
        assert (await get(admin, "/metrics", host="localhost")).status == 200
        assert (await get(admin, "/metrics", Origin="http://evil.example")).status == 403


async def test_a_name_can_be_allowed() -> None:
    async with RawBackend() as raw, stack(raw.address, admin={**ADMIN, "allowed_hosts": ["pod.example"]}) as running:
        admin = await admin_address(running.remora)
        assert (await get(admin, "/healthz", host="pod.example:9908")).status == 200
        assert (await get(admin, "/healthz", host="127.0.0.1")).status == 421


async def test_bodies_and_heads_without_end_are_refused() -> None:
    async with RawBackend() as raw, observed(raw.address) as (running, admin):
        assert (await get(admin, "/metrics", Content_Length="1")).status == 413
        assert (await get(admin, "/" + "a" * 9000)).status in (414, 431)
        async with await Connection.open(admin) as connection:
            assert (await connection.exchange(b"nonsense\r\n\r\n")).status == 400
            assert await connection.closed_by_peer()
        assert (await running.client.call("x")).status == 200


async def test_connections_without_end_do_not_disturb_clients() -> None:
    async with RawBackend() as raw, observed(raw.address) as (running, admin):
        async with contextlib.AsyncExitStack() as connections:
            for _ in range(100):
                await connections.enter_async_context(await Connection.open(admin))
            held = await settled(running.remora.descriptors)
            assert held < 100, "the rest waits in the kernel"
            assert (await running.client.call("x")).status == 200
        assert (await get(admin, "/healthz")).status == 200


async def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = configuration("http://127.0.0.1:9/mcp", admin={"address": address})
        status, printed = await check(text, command="run")
        assert status == 1 and f"cannot listen on {address}" in printed and "admin.address" in printed


# The page


async def test_json_for_who_asks_for_it() -> None:
    async with RawBackend() as raw, observed(raw.address) as (_, admin):
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        assert (await get(admin, "/status", Accept=browser)).media_type == "text/html"
        assert (await get(admin, "/status")).media_type == "text/html"
        assert (await get(admin, "/status", Accept="application/json")).media_type == "application/json"
        mixed = "text/plain, application/json;q=0.5"
        assert (await get(admin, "/status", Accept=mixed)).media_type == "application/json"
        assert (await get(admin, "/status.json", Accept=browser)).media_type == "application/json"


async def test_the_page_shows_the_numbers() -> None:
    async with RawBackend() as raw, observed(raw.address) as (running, admin):
        for _ in range(1234):
            await running.client.call("x")
        page = (await get(admin, "/status")).body.decode()
        assert "1\u202f234" in page and "tools/call" in page and raw.address not in page
        assert f"http://{running.back.address}<" in page
        shown = (await status(admin))["requests"]
        assert shown["total"] == 1234 == shown["recent"]["count"]
        assert 0 < shown["recent"]["p50_seconds"] <= shown["recent"]["p99_seconds"] < 10
        for reference in re.findall(r"""(?:src|href|url|action)\s*[=(]""", page):
            raise AssertionError(f"the page loads something: {reference}")
