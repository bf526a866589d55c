"""TLS on either side of Remora: the common cases over it, and everything that is refused, with the words that say why."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from common_cases import *  # noqa: F403  # On this file's `running`.
from harness.certificates import DAY, NOW, Authority, Pair
from harness.http1 import TIMEOUT, Connection, Truncated
from harness.lab import AnyLab
from harness.modern import VERSION, Answer, call, encode
from harness.processes import Process, binary
from harness.remora import Remora, check, configuration
from harness.stack import Stack, settles, stack
from harness.tap import Tap
from harness.ways import TLS
from servers.raw import Exchange, RawBackend
from test_admin import admin_address, get, metrics, status

BACKEND = "http://127.0.0.1:9/mcp"


@pytest.fixture(params=["one-way", "mutual"])
async def running(any_lab: AnyLab, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    async with stack(any_lab.address, way=TLS(tmp_path, mutual=request.param == "mutual")) as it:
        yield it


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def served(authority: Authority) -> Pair:
    return authority.issue("remora", "127.0.0.1", "localhost")


@pytest.fixture(scope="session")
def mine(authority: Authority) -> Pair:
    return authority.issue("mine")


async def open_tls(address: str, context: ssl.SSLContext, **options: Any) -> Connection:
    host, port = address.rsplit(":", 1)
    async with asyncio.timeout(TIMEOUT):
        return Connection(*await asyncio.open_connection(host, int(port), ssl=context, **options))


async def ask(address: str, context: ssl.SSLContext, tool: str = "x", **headers: str) -> Answer:
    async with await open_tls(address, context) as connection:
        return Answer(await connection.exchange(encode(call(tool), host=address, **headers)))


def blocking_call(address: str, context: ssl.SSLContext, server_hostname: str = "localhost") -> bytes:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), TIMEOUT) as bare:
        with context.wrap_socket(bare, server_hostname=server_hostname, suppress_ragged_eofs=False) as secure:
            secure.sendall(encode(call("x"), host=address))
            return secure.recv(65536)


async def refused(remora: Remora, reason: str) -> dict[str, Any]:
    """The line of the log that says so."""
    return await remora.process.line(lambda line: '"tls_refused"' in line and reason in line and json.loads(line))


# MARK: Clients


async def test_the_published_client_over_https(lab_json: str, authority: Authority, served: Pair) -> None:
    async with Remora(configuration(f"http://{lab_json}/mcp", listen={"tls": served.settings})) as remora:
        event = await remora.process.event("listening")
        assert event["scheme"] == "https"
        async with httpx2.AsyncClient(verify=authority.client_context()) as http:
            transport = streamable_http_client(f"https://{remora.address}/mcp", http_client=http)
            async with mcp.Client(transport, mode=VERSION) as client:
                assert (await client.call_tool("echo", {"text": "hi"})).content[0].text == "hi"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions_and_the_protocol(authority: Authority, served: Pair, version: ssl.TLSVersion) -> None:
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen={"tls": served.settings})) as remora:
            async with await open_tls(remora.address, context) as connection:
                about = connection.writer.get_extra_info("ssl_object")
                assert about.version() == version.name.replace("_", ".").replace("TLSv1.", "TLSv1.")
                assert about.selected_alpn_protocol() == "http/1.1"
                assert "ECDHE" in about.cipher()[0] or version is ssl.TLSVersion.TLSv1_3
                for number in range(3):
                    exchange = await connection.exchange(encode(call("x", id=number), host=remora.address))
                    assert Answer(exchange).text == "raw"


REFUSED = {
    "old version": "unsupported protocol",
    "another protocol": "no application protocol",
    "our authority unknown": "the client refused: tlsv1 alert unknown ca",
    "another name": "the client refused: sslv3 alert bad certificate",
    "plain HTTP": "plain HTTP came where TLS is spoken",
    "no TLS": "what the client sent is not TLS",
    "no certificate": "the client sent no certificate",
    "self-signed": "the client's certificate was refused: self-signed certificate",
    "another authority": "the client's certificate was refused: unable to get local issuer certificate",
    "expired": "the client's certificate was refused: certificate has expired",
    "not yet valid": "the client's certificate was refused: certificate is not yet valid",
    "leaves": "the connection ended during the handshake",
    "silence": "the handshake took longer than limits.header_timeout",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_who_is_refused_and_why(authority: Authority, served: Pair, mine: Pair, tmp_path: Path, what: str) -> None:
    other = Authority(tmp_path, "other")
    certificates = {
        "self-signed": lambda: authority.self_signed("self-signed"),
        "another authority": lambda: other.issue("other-client"),
        "expired": lambda: authority.issue("expired-client", since=NOW - 2 * DAY, until=NOW - DAY),
        "not yet valid": lambda: authority.issue("early-client", since=NOW + DAY, until=NOW + 2 * DAY),
    }
    demands = what in certificates or what == "no certificate"
    tls = served.settings | ({"client_ca": str(authority.file)} if demands else {})
    limits = {"header_timeout": "500ms"}
    async with RawBackend() as raw:
        text = configuration(f"http://{raw.address}/mcp", listen={"tls": tls}, limits=limits)
        async with Remora(text) as remora:
            match what:
                case "plain HTTP" | "no TLS" | "leaves" | "silence":
                    plain = {
                        "plain HTTP": encode(call("x")),
                        "no TLS": b"SSH-2.0-OpenSSH\r\n",
                        "leaves": b"\x16\x03\x01\x02\x00\x01",
                        "silence": b"\x16\x03\x01\x02\x00\x01",
                    }[what]
                    async with await Connection.open(remora.address) as connection:
                        await connection.send(plain)
                        if what != "leaves":
                            with pytest.raises(Truncated):
                                await connection.receive()
                case _:
                    context = (other if what == "our authority unknown" else authority).client_context(
                        certificates[what]() if what in certificates else None
                    )
                    name = {"server_hostname": "example.com"} if what == "another name" else {}
                    if what == "another protocol":
                        context.set_alpn_protocols(["h2"])
                    if what == "old version":
                        context.set_ciphers("ALL:@SECLEVEL=0")
                        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
                    with pytest.raises(OSError):
                        # asyncio's own TLS does not send its alerts.
                        await asyncio.to_thread(blocking_call, remora.address, context, **name)
            event = await refused(remora, REFUSED[what])
            assert event["level"] == "info" and event["client"].startswith("127.0.0.1:")
            # No other client has noticed.
            good = authority.client_context(mine if demands else None)
            assert (await ask(remora.address, good)).text == "raw"
            assert raw.methods["tools/call"] == 1


async def test_who_only_connects_is_not_worth_a_line(authority: Authority, served: Pair) -> None:
    async with Remora(configuration(BACKEND, listen={"tls": served.settings})) as remora:
        async with await Connection.open(remora.address):
            pass
        event = await refused(remora, "before a handshake")
        assert event["level"] == "debug"


async def test_garbage(authority: Authority, served: Pair) -> None:
    """Hostile bytes before, in and after a handshake end that connection, and nothing else."""
    chance = random.Random(7)
    hello = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        authority.client_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    first = hello.read()
    async with RawBackend() as raw:
        text = configuration(
            f"http://{raw.address}/mcp", listen={"tls": served.settings}, limits={"header_timeout": "1s"}
        )
        async with Remora(text) as remora:
            before = remora.descriptors()

            async def one(number: int) -> None:
                data = bytearray(first if number % 2 else b"\x16\x03\x03" + chance.randbytes(2))
                if number % 2:
                    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                data += chance.randbytes(chance.randrange(2000))
                async with await Connection.open(remora.address) as connection:
                    try:
                        await connection.send(bytes(data))
                        connection.writer.write_eof()
                        await connection.reader.read()
                    except OSError:
                        pass

            for start in range(0, 300, 30):
                await asyncio.gather(*map(one, range(start, start + 30)))
            # A record that no key made, on a connection that stands.
            host, port = remora.address.rsplit(":", 1)
            with socket.create_connection((host, int(port)), TIMEOUT) as bare:
                secure = authority.client_context().wrap_socket(
                    bare, server_hostname="localhost", do_handshake_on_connect=True
                )
                os.write(secure.fileno(), b"\x17\x03\x03\x00\x40" + chance.randbytes(64))
                with pytest.raises((OSError, ssl.SSLError)):
                    secure.recv(10)
                    secure.recv(10)
                secure.detach()
            assert (await ask(remora.address, authority.client_context())).text == "raw"
            await settles(remora.descriptors, before + 2)


async def test_renegotiation_is_refused(authority: Authority, served: Pair) -> None:
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen={"tls": served.settings})) as remora:
            command = ["openssl", "s_client", "-connect", remora.address, "-tls1_2", "-CAfile", str(authority.file)]
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert child.stdin is not None and child.stdout is not None
            async with asyncio.timeout(TIMEOUT):
                while b"Verify return code" not in await child.stdout.readline():
                    pass
                child.stdin.write(b"R\n")
                await child.stdin.drain()
                printed = await child.stdout.read()
            await child.wait()
            assert b"RENEGOTIATING" in printed and b"no renegotiation" in printed, printed
            assert (await ask(remora.address, authority.client_context())).text == "raw"


async def test_changes_of_keys_end_a_connection_that_does_nothing_else(authority: Authority, served: Pair) -> None:
    """Each costs a derivation of keys and an answer. A peer changes its keys now and then, and says something between."""
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen={"tls": served.settings})) as remora:
            command = ["openssl", "s_client", "-connect", remora.address, "-tls1_3", "-CAfile", str(authority.file)]
            pipe = asyncio.subprocess.PIPE
            child = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
            )
            assert child.stdin is not None and child.stdout is not None
            try:
                async with asyncio.timeout(TIMEOUT):
                    while b"Verify return code" not in await child.stdout.readline():
                        pass
                # While Remora reads nothing, so that they come at once.
                remora.process.child.send_signal(signal.SIGSTOP)
                for _ in range(100):
                    child.stdin.write(b"K\n")
                    # Each has to be read by itself to be taken for a command.
                    await asyncio.sleep(0.01)
                remora.process.child.send_signal(signal.SIGCONT)
                async with asyncio.timeout(TIMEOUT):
                    printed = await child.stdout.read()
                    await child.wait()
            finally:
                remora.process.child.send_signal(signal.SIGCONT)
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            assert printed.count(b"KEYUPDATE") > 50, printed
            assert (await ask(remora.address, authority.client_context())).text == "raw"


async def test_a_flood_of_handshakes_starves_nobody(authority: Authority, served: Pair) -> None:
    context = authority.client_context()
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen={"tls": served.settings})) as remora:
            async with await open_tls(remora.address, context) as kept:

                async def time_of_call() -> float:
                    start = time.monotonic()
                    assert Answer(await kept.exchange(encode(call("x"), host=remora.address))).text == "raw"
                    return time.monotonic() - start

                await time_of_call()
                hello = ssl.MemoryBIO()
                with pytest.raises(ssl.SSLWantReadError):
                    context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
                first = hello.read()
                flood = [await Connection.open(remora.address) for _ in range(400)]
                for each in flood:
                    each.writer.write(first)
                times = [await time_of_call() for _ in range(20)]
                print(f"measured: {max(times) * 1000:.1f} ms at most for a call among 400 handshakes")
                assert max(times) < 5
                for each in flood:
                    each.abort()


@pytest.mark.parametrize("mutual", [False, True])
async def test_tickets_spare_handshakes_of_clients(authority: Authority, served: Pair, mine: Pair, mutual: bool) -> None:
    tls = served.settings | ({"client_ca": str(authority.file)} if mutual else {})
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen={"tls": tls})) as remora:
            host, port = remora.address.rsplit(":", 1)
            context = authority.client_context(mine if mutual else None)

            def one(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession | None]:
                with socket.create_connection((host, int(port)), TIMEOUT) as bare:
                    with context.wrap_socket(bare, server_hostname="localhost", session=session) as secure:
                        secure.sendall(encode(call("x"), host=remora.address))
                        assert b"raw" in secure.recv(65536)
                        return bool(secure.session_reused), secure.session

            reused, session = await asyncio.to_thread(one, None)
            assert not reused
            again, _ = await asyncio.to_thread(one, session if session and session.has_ticket else None)
            assert again is not mutual, "a client that must show a certificate shows it each time"


async def test_an_end_that_is_meant_is_told(authority: Authority, served: Pair) -> None:
    """close_notify after the last answer, and none where an answer breaks off."""
    async with RawBackend() as raw:
        async with Remora(configuration(f"http://{raw.address}/mcp", listen={"tls": served.settings})) as remora:
            host, port = remora.address.rsplit(":", 1)
            context = authority.client_context()

            def one(text: bytes) -> bytes:
                with socket.create_connection((host, int(port)), TIMEOUT) as bare:
                    # Without this, Python takes an end without close_notify for a good one.
                    with context.wrap_socket(bare, server_hostname="localhost", suppress_ragged_eofs=False) as secure:
                        secure.sendall(text)
                        found = b""
                        while part := secure.recv(65536):
                            found += part
                        return found

            found = await asyncio.to_thread(one, encode(call("x"), host=remora.address, Connection="close"))
            assert found.startswith(b"HTTP/1.1 200 ") and b"raw" in found
            found = await asyncio.to_thread(one, b"no http\r\n\r\n")
            assert found.startswith(b"HTTP/1.1 400 ")


async def test_a_reader_that_pauses_gets_everything(lab_json: str, authority: Authority, served: Pair) -> None:
    """Records wait in the kernel, in Remora and in TLS itself; none is lost, and memory stays bounded."""
    async with Remora(configuration(f"http://{lab_json}/mcp", listen={"tls": served.settings})) as remora:
        async with await open_tls(remora.address, authority.client_context(), limit=1 << 25) as connection:
            await connection.send(encode(call("big", {"kib": 20_000}), host=remora.address))
            await asyncio.sleep(1)
            text = Answer(await connection.receive()).text
            assert text == "x" * 20_000 * 1024
            pipelined = b"".join(
                encode(call("echo", {"text": f"{number} " + "y" * 5000}, id=number), host=remora.address)
                for number in range(60)
            )
            sending = asyncio.create_task(connection.send(pipelined))
            for number in range(60):
                assert Answer(await connection.receive()).text.startswith(f"{number} y")
            await sending


async def test_a_certificate_is_a_principal(authority: Authority, served: Pair, mine: Pair, lab_json: str) -> None:
    other = authority.issue("somebody-else")
    renewed = authority.issue("mine-renewed", common_name="mine")
    tls = served.settings | {"client_ca": str(authority.file)}
    for isolate_by, expected in [
        (["authorization", "client_certificate"], ["1", "2", "1", "3", "1"]),
        (["authorization"], ["1", "2", "3", "4", "1"]),
    ]:
        text = configuration(f"http://{lab_json}/mcp", listen={"tls": tls}, sessions={"isolate_by": isolate_by})
        async with Remora(text) as remora:
            counts = []
            for identity, headers in [
                (mine, {}),
                (mine, {}),
                (other, {}),
                (renewed, {}),
                (mine, {"Authorization": "Bearer secret-of-one"}),
            ]:
                answer = await ask(remora.address, authority.client_context(identity), "counter", **headers)
                counts.append(answer.text)
            assert counts == expected, isolate_by
            assert "secret-of-one" not in remora.process.tail() and "CERTIFICATE" not in remora.process.tail()


# MARK: Servers


@pytest.fixture
async def backend(authority: Authority) -> AsyncIterator[Tap]:
    async with RawBackend() as raw:
        identity = authority.issue("backend", "127.0.0.1", "localhost", "mcp.example.com")
        async with Tap(raw.address, listen_tls=authority.server_context(identity)) as tap:
            yield tap


async def call_once(text: str) -> tuple[Answer, list[dict[str, Any]]]:
    """An answer, and the lines of the log about requests."""
    async with Remora(text) as remora:
        async with await Connection.open(remora.address) as connection:
            answer = Answer(await connection.exchange(encode(call("x"))))
        return answer, [await remora.process.event("request")]


REFUSED_SERVERS = {
    "unknown authority": "unable to get local issuer certificate",
    "the system's authorities": "unable to get local issuer certificate",
    "self-signed": "self-signed certificate",
    "another name": "hostname mismatch",
    "another address": "IP address mismatch",
    "expired": "certificate has expired",
    "not yet valid": "certificate is not yet valid",
    "plain HTTP": "what the server sent is not TLS",
    "our certificate missing": "the server refused: tlsv13 alert certificate required",
    "closes": "the connection ended",
}


@pytest.mark.parametrize("what", REFUSED_SERVERS)
async def test_which_servers_are_not_talked_to(authority: Authority, tmp_path: Path, what: str) -> None:
    other = Authority(tmp_path, "other")
    names = ("127.0.0.1", "localhost")
    identity = {
        "self-signed": lambda: authority.self_signed("self", *names),
        "another name": lambda: authority.issue("name", "example.com"),
        "another address": lambda: authority.issue("address", "127.0.0.2"),
        "expired": lambda: authority.issue("expired", *names, since=NOW - 2 * DAY, until=NOW - DAY),
        "not yet valid": lambda: authority.issue("early", *names, since=NOW + DAY, until=NOW + 2 * DAY),
    }.get(what, lambda: authority.issue("good", *names))()
    context = authority.server_context(identity, demands_certificate=what == "our certificate missing")
    ca = {"unknown authority": str(other.file), "the system's authorities": "system"}.get(what, str(authority.file))

    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if what == "plain HTTP":
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    def demand(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                bare, _ = listening.accept()
                with bare, contextlib.suppress(OSError):
                    context.wrap_socket(bare, server_side=True).recv(1)

    async with RawBackend() as raw, contextlib.AsyncExitStack() as parts:
        async with Tap(raw.address, listen_tls=context) as tap:
            address = tap.address
            if what == "our certificate missing":
                # asyncio's own TLS does not send its alerts.
                listening = parts.enter_context(socket.create_server(("127.0.0.1", 0)))
                address = "127.0.0.1:{}".format(listening.getsockname()[1])
                task = asyncio.create_task(asyncio.to_thread(demand, listening))
                parts.push_async_callback(asyncio.wait, [task])
                parts.callback(listening.shutdown, socket.SHUT_RDWR)
            server = await asyncio.start_server(closes, "127.0.0.1", 0)
            if what in ("closes", "plain HTTP"):
                address = "127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
            if what == "another name":
                address = address.replace("127.0.0.1", "localhost")
            answer, (event,) = await call_once(configuration(f"https://{address}/mcp", server={"tls": {"ca": ca}}))
            server.close()
        assert (answer.status, answer.error["data"]) == (503, {"reason": "backend_unavailable", "dispatched": False})
        assert REFUSED_SERVERS[what] in event["detail"], event
        assert event["side"] == "backend"
        assert not raw.requests, "a request went to a server that was not verified"


async def test_the_name_is_the_configured_one(authority: Authority, backend: Tap) -> None:
    for name, status in [("mcp.example.com", 200), ("localhost", 200), ("127.0.0.1", 200), ("example.com", 503)]:
        tls = {"ca": str(authority.file), "server_name": name}
        answer, _ = await call_once(configuration(f"https://{backend.address}/mcp", server={"tls": tls}))
        assert answer.status == status, name


async def test_a_server_is_told_the_name(authority: Authority) -> None:
    seen: list[str | None] = []
    context = authority.server_context(authority.issue("named", "localhost", "127.0.0.1"))
    context.sni_callback = lambda _, name, __: seen.append(name)
    async with RawBackend() as raw, Tap(raw.address, listen_tls=context) as tap:
        for host in ("localhost", "127.0.0.1"):
            url = f"https://{tap.address.replace('127.0.0.1', host)}/mcp"
            answer, _ = await call_once(configuration(url, server={"tls": {"ca": str(authority.file)}}))
            assert answer.text == "raw"
    assert set(seen) == {"localhost", None}


async def test_tickets_spare_handshakes_with_the_server(authority: Authority) -> None:
    """Several connections one after another: all but the first are resumed, over both versions."""

    async def once(exchange: Exchange) -> bool:
        if exchange.method != "tools/call":
            return False
        await exchange.json(exchange.response(b'{"content":[{"type":"text","text":"raw"}]}'), Connection="close")
        exchange.close()
        return True

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.server_context(authority.issue("resumed", "127.0.0.1"))
        context.maximum_version = version
        async with RawBackend(once) as raw, Tap(raw.address, listen_tls=context) as tap:
            text = configuration(f"https://{tap.address}/mcp", server={"tls": {"ca": str(authority.file)}})
            async with Remora(text) as remora:
                async with await Connection.open(remora.address) as connection:
                    for number in range(3):
                        assert Answer(await connection.exchange(encode(call("x", id=number)))).text == "raw"
            stats = context.session_stats()
            assert stats["hits"] >= 2, (version, stats)


async def test_an_idle_connection_outlives_its_tickets(authority: Authority) -> None:
    """A ticket that comes on a connection at rest is no answer to anything, and no reason to make another."""
    context = authority.server_context(authority.issue("idle", "127.0.0.1"))
    async with RawBackend() as raw, Tap(raw.address, listen_tls=context) as tap:
        text = configuration(f"https://{tap.address}/mcp", server={"tls": {"ca": str(authority.file)}})
        async with Remora(text) as remora:
            async with await Connection.open(remora.address) as connection:
                for number in range(8):
                    assert Answer(await connection.exchange(encode(call("x", id=number)))).text == "raw"
                    await asyncio.sleep(0.1)
        # One for the calls, one for the GET stream.
        assert len(tap.recordings) <= 3, len(tap.recordings)


async def test_a_body_that_is_cut_off_is_no_answer(authority: Authority) -> None:
    """Without a length, an answer ends with close_notify; a bare end of the connection is none (RFC 9112 §9.8)."""
    identity = authority.issue("cut", "127.0.0.1")

    def serve(listening: socket.socket, proper: bool) -> None:
        context = authority.server_context(identity)
        while True:
            try:
                bare, _ = listening.accept()
            except OSError:
                return
            with bare:
                secure = context.wrap_socket(bare, server_side=True)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += secure.recv(65536)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if b"POST" in head else 0
                while len(head.split(b"\r\n\r\n", 1)[1]) < length:
                    head += secure.recv(65536)
                message = json.loads(head.split(b"\r\n\r\n", 1)[1] or b"{}")
                result = {
                    "initialize": {
                        "protocolVersion": "2025-11-25",
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "cut", "version": "1"},
                    },
                    "tools/list": {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]},
                    "tools/call": {"content": [{"type": "text", "text": "whole"}]},
                }.get(message.get("method"))
                status, body = b"405 X" if head.startswith(b"GET") else b"202 X", b""
                if result is not None:
                    status = b"200 OK"
                    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
                secure.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n\r\n" + body)
                if proper or message.get("method") != "tools/call":
                    with contextlib.suppress(OSError):
                        secure.unwrap()
                secure.close()

    for proper in (True, False):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = "127.0.0.1:{}".format(listening.getsockname()[1])
            task = asyncio.create_task(asyncio.to_thread(serve, listening, proper))
            text = configuration(f"https://{address}/mcp", server={"tls": {"ca": str(authority.file)}})
            answer, _ = await call_once(text)
            listening.shutdown(socket.SHUT_RDWR)
            await task
        if proper:
            assert answer.text == "whole"
        else:
            assert answer.error["data"]["dispatched"] is True, answer


# MARK: The configuration


def tls_line(text: str, word: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if word in line)


async def test_files_that_cannot_be_used(authority: Authority, served: Pair, mine: Pair, tmp_path: Path) -> None:
    late = authority.issue("late", "127.0.0.1", since=NOW - 2 * DAY, until=NOW - DAY)
    early = authority.issue("early-server", "127.0.0.1", since=NOW + DAY, until=NOW + 2 * DAY)
    empty, secret = tmp_path / "empty.pem", tmp_path / "secret.txt"
    empty.write_text("")
    secret.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXRleHQ=\n-----END PRIVATE KEY-----\n")
    good = served.settings
    date = (NOW - DAY).strftime("%Y-%m-%d")
    examples: list[tuple[dict[str, str], str, str]] = [
        (good | {"certificate": "/nonexistent"}, "certificate", "must be a file that Remora can read (No such file"),
        (good | {"certificate": str(tmp_path)}, "certificate", "must be a plain file in PEM"),
        (good | {"certificate": str(empty)}, "certificate", "has no certificate in it"),
        (good | {"certificate": str(served.key)}, "certificate", "has no certificate in it"),
        (late.settings, "certificate", f"expired on {date}"),
        (early.settings, "certificate", "is not valid before "),
        (good | {"key": str(mine.key)}, "key", "does not belong to the certificate"),
        (good | {"key": str(empty)}, "key", "has no private key in it"),
        (good | {"key": str(secret)}, "key", "has no private key that can be read"),
        (good | {"client_ca": str(empty)}, "client_ca", "has no certificate in it"),
        ({"certificate": good["certificate"]}, "key", "is missing"),
        ({"key": good["key"]}, "certificate", "is missing"),
        ({"client_ca": str(authority.file)}, "client_ca", "is of no use without"),
    ]
    for tls, key, words in examples:
        text = configuration(BACKEND, listen={"tls": tls})
        for command in ("check", "run"):
            status, printed = await check(text, command=command)
            assert status == 64, (tls, printed)
            assert f"listen.tls.{key} {words}" in printed, printed
            assert "secret-text" not in printed and "c2VjcmV0" not in printed
            place = tls_line(text, f" {key}:") if key in tls else tls_line(text, " tls:") + 1
            assert f"remora.yaml:{place}:" in printed, (printed, text)
    for server, key, words in [
        ({"ca": str(empty)}, "ca", "has no certificate in it"),
        (served.settings | {"key": str(mine.key)}, "key", "does not belong to the certificate"),
        ({"server_name": "not a name"}, "server_name", "must be a host name or a numeric address"),
    ]:
        status, printed = await check(configuration("https://127.0.0.1:9/mcp", server={"tls": server}))
        assert status == 64 and f"backends[0].tls.{key} {words}" in printed, printed
    status, printed = await check(configuration(BACKEND, server={"tls": {"ca": str(authority.file)}}))
    assert status == 64 and "backends[0].tls.ca is of no use for a URL without TLS" in printed, printed
    status, printed = await check(configuration(BACKEND, sessions={"isolate_by": ["authorization", "client_certificate"]}))
    assert status == 64 and "sessions.isolate_by must not have client_certificate" in printed, printed


async def test_a_key_that_cannot_be_read(served: Pair, tmp_path: Path) -> None:
    key = tmp_path / "round.key"
    key.symlink_to(key)  # What root cannot read either.
    status, printed = await check(configuration(BACKEND, listen={"tls": served.settings | {"key": str(key)}}))
    assert status == 64 and "must be a file that Remora can read (Too many levels of symbolic links)" in printed


async def test_an_openssl_without_tls_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    """TLS that a reload brings is OpenSSL's first use, and its own configuration is read then."""
    library = tmp_path / "openssl.cnf"
    library.write_text("openssl_conf = init\n[init]\nproviders = all\n[all]\nbase = one\n[one]\nactivate = 1\n")
    file = tmp_path / "remora.yaml"
    async with RawBackend() as raw:
        file.write_text(configuration(raw.url))
        command = [binary("remora"), "-c", str(file)]
        async with await Process.start(*command, env={"OPENSSL_CONF": str(library)}) as process:
            address = (await process.event("listening"))["address"]
            file.write_text(configuration("https://127.0.0.1:9/mcp"))
            process.child.send_signal(signal.SIGHUP)
            failure = await process.event("reload_failed")
            assert "backends[0].tls cannot be used: OpenSSL has no TLS here (" in failure["detail"], failure
            async with await Connection.open(address) as connection:
                assert Answer(await connection.exchange(encode(call("x"), host=address))).text == "raw"
            assert await process.stop() == 0


# MARK: Reload


EXPIRY = "remora_certificate_expiry_time_seconds"


class Used(Pair):
    """The files that Remora is told of, in place of which others come."""

    def take(self, pair: Pair) -> None:
        self.certificate.write_bytes(pair.certificate.read_bytes())
        self.key.write_bytes(pair.key.read_bytes())


async def shown(remora: Remora, context: ssl.SSLContext) -> str:
    """The name in the certificate that a new handshake shows."""
    async with await open_tls(remora.address, context) as connection:
        return connection.writer.get_extra_info("peercert")["subject"][0][0][1]


def break_by(how: str, used: Used, other: Pair) -> None:
    match how:
        case "another key":
            used.certificate.write_bytes(other.certificate.read_bytes())
        case "half a file":
            used.certificate.write_bytes(used.certificate.read_bytes()[:200])
        case "no file":
            used.key.unlink()


BROKEN = {
    "another key": "does not belong to the certificate",
    "half a file": "has a certificate that cannot be read",
    "no file": "must be a file that Remora can read (No such file or directory)",
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_reload_reads_certificates_anew(authority: Authority, tmp_path: Path, how: str) -> None:
    """New connections get the new certificate, those that stand stay, and files that are no good change nothing."""
    second_until = NOW + 30 * DAY
    first = authority.issue("reload-first", "127.0.0.1", "localhost")
    second = authority.issue("reload-second", "127.0.0.1", "localhost", until=second_until)
    used = Used(tmp_path / "used.pem", tmp_path / "used.key")
    used.take(first)
    context = authority.client_context()
    async with RawBackend() as raw:
        text = configuration(raw.url, listen={"tls": used.settings}, admin={"address": "127.0.0.1:0"})
        async with Remora(text) as remora, await open_tls(remora.address, context) as kept:
            admin = await admin_address(remora)
            assert await shown(remora, context) == "reload-first"
            used.take(second)
            assert await shown(remora, context) == "reload-first"
            await remora.hangup()
            assert await shown(remora, context) == "reload-second"
            expiry = (await metrics(admin)).value(EXPIRY, setting="listen.tls.certificate")
            assert expiry == int(second_until.timestamp())
            break_by(how, used, first)
            failure = await remora.hangup("reload_failed")
            assert BROKEN[how] in failure["detail"] and "listen.tls." in failure["detail"]
            assert await shown(remora, context) == "reload-second"
            assert (await metrics(admin)).value(EXPIRY, setting="listen.tls.certificate") == expiry
            assert Answer(await kept.exchange(encode(call("x"), host=remora.address))).text == "raw"
            # What is good again is taken.
            used.take(first)
            await remora.hangup()
            assert await shown(remora, context) == "reload-first"
            assert Answer(await kept.exchange(encode(call("x"), host=remora.address))).text == "raw"


async def test_a_reload_turns_tls_on_and_off(authority: Authority, served: Pair, mine: Pair) -> None:
    """On the same port: connections that stand go on as they began, new ones follow the new rule."""
    context = authority.client_context()
    async with RawBackend() as raw:
        plain = configuration(raw.url)
        secure = configuration(raw.url, listen={"tls": served.settings})
        mutual = configuration(raw.url, listen={"tls": served.settings | {"client_ca": str(authority.file)}})
        async with Remora(plain) as remora, await Connection.open(remora.address) as clear:
            await remora.reload(secure)
            async with await open_tls(remora.address, context) as encrypted:
                for connection in (clear, encrypted):
                    assert Answer(await connection.exchange(encode(call("x"), host=remora.address))).text == "raw"
                with contextlib.suppress(ConnectionError, Truncated):
                    async with await Connection.open(remora.address) as late:
                        await late.exchange(encode(call("x"), host=remora.address))
                await refused(remora, "plain HTTP came where TLS is spoken")
                await remora.reload(mutual)
                with pytest.raises((ssl.SSLError, ConnectionError, Truncated, AssertionError)):
                    await ask(remora.address, context)
                await refused(remora, "the client sent no certificate")
                assert (await ask(remora.address, authority.client_context(mine))).text == "raw"
                await remora.reload(plain)
                async with await Connection.open(remora.address) as late:
                    for connection in (clear, encrypted, late):
                        assert Answer(await connection.exchange(encode(call("x"), host=remora.address))).text == "raw"


async def test_certificates_that_are_shown_have_their_time_in_the_numbers(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with RawBackend() as raw:
        ours = authority.issue("ours", "127.0.0.1", until=NOW + 3 * DAY)
        # The chain is as good as the first of it to expire.
        ours.certificate.write_bytes(ours.certificate.read_bytes() + authority.file.read_bytes())
        theirs = authority.issue("theirs", until=NOW + 40 * DAY)
        backends = [
            {"url": f"https://{raw.address}/mcp", "tls": {"ca": str(authority.file), **theirs.settings}},
            {"url": "https://127.0.0.1:9/mcp", "tls": {"ca": str(authority.file)}},
        ]
        text = configuration(*backends, listen={"tls": ours.settings}, admin={"address": "127.0.0.1:0"})
        async with Remora(text) as remora:
            admin = await admin_address(remora)
            found = (await metrics(admin))[EXPIRY]
            expected = {
                "listen.tls.certificate": int((NOW + DAY).timestamp()),
                "backends[0].tls.certificate": int((NOW + 40 * DAY).timestamp()),
            }
            assert {dict(labels)["setting"]: value for (_, labels), value in found.samples.items()} == expected
            shown = {each["setting"]: each["expires_unix_seconds"] for each in (await status(admin))["certificates"]}
            assert shown == expected
            page = (await get(admin, "/status")).body.decode()
            assert "<code>backends[0].tls.certificate</code>" in page and "in 39 days" in page
