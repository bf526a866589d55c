"""SIGHUP and SIGTERM under load: no call fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from harness.http1 import Connection, Malformed
from harness.modern import Answer, Client, call, encode
from harness.processes import Process, binary
from harness.remora import Remora, configuration
from harness.soak import mebibytes, size, tell
from harness.stack import settles
from servers.raw import Exchange, RawBackend

RATE = size(100, 500)
"""Calls a second."""
RELOADS = size(10, 100)
CLIENTS = size(10, 50)
"""Clients that keep their connections; each calls in its turn."""
DEADLINE = 5.0
"""Seconds: `limits.shutdown_timeout`."""


class Load:
    """Calls at a steady rate by clients that keep their connections, and respect it when an answer is a connection's last;
    one call in ten comes on a connection of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answered = 0
        self.failures: Counter[str] = Counter()
        self.refused = 0
        """Connections that were not made: the address is closed."""
        self.slowest = 0.0
        self.stopping = False

    async def run(self) -> None:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._client(number, start))

    async def _client(self, number: int, start: float) -> None:
        client = Client(self.address)
        while not self.stopping:
            await asyncio.sleep(max(0, start + number / RATE - time.monotonic()))
            once = number % 10 == 0
            if not await self._call(Client(self.address) if once else client, f"call-{number}", once):
                break
            number += CLIENTS
        await client.__aexit__()

    async def _call(self, client: Client, id: str, once: bool) -> bool:
        """False when the address is closed."""
        start = time.monotonic()
        if client._connection is None:
            try:
                client._connection = await Connection.open(self.address)
            except OSError:
                self.refused += 1
                return False
        try:
            answer = await client.call("echo", {"text": id}, id=id, timeout=10)
            if answer.status == 200 and answer.json["id"] == id and answer.text == id:
                self.answered += 1
            else:
                self.failures[f"HTTP {answer.status}: {answer.raw[:300]!r}"] += 1
        except (Malformed, OSError, TimeoutError, AssertionError) as error:
            self.failures[f"{type(error).__name__} {error}"] += 1
        self.slowest = max(self.slowest, time.monotonic() - start)
        if once:
            await client.__aexit__()
        return True


async def demo_server() -> Process:
    return await Process.start(binary("legacy-demo"), "--listen", "127.0.0.1:0")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("threads", [1, 2])
async def test_sighup_under_load(threads: int) -> None:
    async with await demo_server() as server:
        url = f"http://{(await server.event('listening'))['address']}/mcp"
        async with Remora(configuration(url, threads=threads, log={"level": "info"})) as remora:
            load = Load(remora.address)
            running = asyncio.create_task(load.run())
            await asyncio.sleep(1)
            descriptors, memory = remora.descriptors(), remora.resident()
            start = time.monotonic()
            for count in range(RELOADS):
                # Every other one changes something that is taken over.
                remora.path.write_text(
                    configuration(
                        url, threads=threads, log={"level": "info"}, sessions={"max": 64 + count % 2},
                        admin={"address": "127.0.0.1:0"} if count == RELOADS - 1 else {"address": "off"},
                    )
                )
                remora.process.child.send_signal(1)
                await asyncio.sleep(0.1)
            took = time.monotonic() - start
            await asyncio.sleep(0.5)
            load.stopping = True
            await running
            tell(
                f"{RELOADS} SIGHUPs in {took:.1f} s, {threads} threads: {load.answered} calls answered, "
                f"{load.failures.total()} failed, the slowest took {load.slowest * 1000:.0f} ms; "
                f"descriptors {descriptors} and {remora.descriptors()}, "
                f"memory {mebibytes(memory)} and {mebibytes(remora.resident())}"
            )
            assert load.failures == Counter() and load.refused == 0
            assert load.answered >= RATE, "too little happened to tell anything"
            await settles(remora.descriptors, descriptors + 2)
            assert not [each for each in remora.process.events() if each["event"] == "reload_failed"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("threads", [1, 2])
async def test_sigterm_under_load(threads: int) -> None:
    answered, slowest, ends = 0, 0.0, []
    for _ in range(size(2, 10)):
        async with await demo_server() as server:
            url = f"http://{(await server.event('listening'))['address']}/mcp"
            limits = {"shutdown_timeout": f"{DEADLINE:.0f}s"}
            async with Remora(configuration(url, threads=threads, limits=limits)) as remora:
                load = Load(remora.address)
                running = asyncio.create_task(load.run())
                await asyncio.sleep(1)
                start = time.monotonic()
                remora.process.terminate()
                assert await remora.process.wait(DEADLINE + 1) == 0
                ends.append(time.monotonic() - start)
                await running
                assert load.failures == Counter()
                assert load.refused == CLIENTS, "every client noticed the end"
                assert ends[-1] <= DEADLINE
                answered, slowest = answered + load.answered, max(slowest, load.slowest)
    tell(
        f"{len(ends)} SIGTERMs, {threads} threads: {answered} calls answered, none failed, the slowest took "
        f"{slowest * 1000:.0f} ms; the end took {max(ends):.2f} s at most"
    )


async def test_who_knocks_just_before_the_end_is_served() -> None:
    """Connections that the kernel has made and Remora has not accepted yet."""
    async with await demo_server() as server:
        url = f"http://{(await server.event('listening'))['address']}/mcp"
        async with Remora(configuration(url)) as remora:
            connections = [await Connection.open(remora.address) for _ in range(5)]
            remora.process.child.send_signal(19)  # SIGSTOP: nothing is accepted from here on.
            connections += [await Connection.open(remora.address) for _ in range(50)]
            for connection in connections:
                await connection.send(encode(call("echo", {"text": "here"}), host=remora.address))
            remora.process.terminate()
            remora.process.child.send_signal(18)  # SIGCONT
            for connection in connections:
                answer = Answer(await connection.receive())
                assert answer.text == "here" and answer.http.header("connection") == "close"
                await connection.close()
            assert await remora.process.wait() == 0


async def test_sessions_are_ended_side_by_side_and_within_the_deadline() -> None:
    """A server that takes its time for each DELETE, and more sessions than there is time for one after the other."""
    async def script(exchange: Exchange) -> bool:
        if exchange.request.method == "DELETE":
            await asyncio.sleep(0.3)
        return False

    limits = {"shutdown_timeout": "4s"}
    sessions = {"max": 40, "max_per_principal": 40}
    async with RawBackend(script) as raw, Remora(configuration(raw.url, limits=limits, sessions=sessions)) as remora:
        async with Client(remora.address) as client:
            for number in range(32):
                assert (await client.call("x", Authorization=f"Bearer {number}")).text == "raw"
        start = time.monotonic()
        assert await remora.process.stop() == 0
        assert time.monotonic() - start < 4
        assert raw.methods["DELETE"] == 32 and raw.sessions == set()


async def test_a_server_that_never_ends_a_session_does_not_hold_up_the_end() -> None:
    async def script(exchange: Exchange) -> bool:
        if exchange.request.method == "DELETE":
            await asyncio.sleep(60)
        return False

    async with RawBackend(script) as raw, Remora(configuration(raw.url, limits={"shutdown_timeout": "1s"})) as remora:
        async with Client(remora.address) as client:
            assert (await client.call("x")).text == "raw"
        start = time.monotonic()
        assert await remora.process.stop() == 0
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("echo", [False, True])
async def test_the_second_signal_ends_at_once(echo: bool) -> None:
    """Not within a second of the first: wrappers send it twice."""
    command = [binary("remora"), "--backend", "http://127.0.0.1:9/mcp", "--listen", "127.0.0.1:0"]
    async with await Process.start(*command) as process:
        async with await Connection.open((await process.event("listening"))["address"]) as connection:
            await connection.send(b"POST /mcp HTTP/1.1\r\n")  # A head that does not end.
            process.terminate()
            await process.event("draining")
            if echo:
                process.terminate()
                await asyncio.sleep(0.3)
                assert process.running
            await asyncio.sleep(1.1)
            process.terminate()
            assert await process.wait(timeout=3) == 1
