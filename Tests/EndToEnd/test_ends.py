"""Ends that take their time: of sessions, and of Remora where its log is not read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.http1 import Connection
from harness.modern import Answer, Client, call
from harness.processes import binary
from harness.replicas import free_ports
from harness.remora import Remora, configuration
from servers.raw import Exchange, RawBackend
from test_commands import children
from test_floods import for_ever

# Answers everything, and takes a second to end, whatever it is sent. It ends as another program and not as the parent of one, so
# that each session is one process all the time: a copy that a shell makes of itself to run `sleep` would look like one more.
RELUCTANT = r"""
trap '' TERM
while read line; do
    id=${line##*\"id\":}
    id=${id%%[!0-9]*}
    case $line in
        *'"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"small","version":"1"}}' ;;
        *'"tools/list"'*) result='{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}' ;;
        *'"tools/call"'*) result='{"content":[{"type":"text","text":"raw"}]}' ;;
        *) continue ;;
    esac
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
exec sleep 1
"""
INFO = {"log": {"level": "info"}}


# Sessions


async def answers(address: str, number: int) -> Answer:
    """Every other caller may be asked, and has its session for itself."""
    message = call("x", clientCapabilities={"elicitation": {}} if number % 2 else {})
    async with Client(address) as client:
        return await client.send(message, Authorization=f"Bearer {number}", timeout=20)


def sessions(pid: int) -> int:
    """How many sessions of such a command run below a process. They are looked at one after the other, and one may end and make room for another
    meanwhile: those count that are there twice."""
    first, second = children(pid), children(pid)
    return sum(first[each].startswith(("sh", "sleep")) for each in first.keys() & second.keys())


async def test_commands_that_end_have_their_places_until_they_have(tmp_path: Path) -> None:
    """A new caller with each request: there are never more processes than places."""
    (tmp_path / "reluctant.sh").write_text(RELUCTANT)
    text = configuration({"command": ["sh", str(tmp_path / "reluctant.sh")]}, sessions={"max": 8}, **INFO)
    async with Remora(text) as remora:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, sessions(remora.process.pid))
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        outcomes: Counter[int] = Counter()
        for first in range(0, 60, 12):
            found = await asyncio.gather(*(answers(remora.address, number) for number in range(first, first + 12)))
            outcomes.update(answer.status for answer in found)
            for answer in found:
                if answer.status != 200:
                    assert answer.error["data"]["reason"] == "busy", answer
        watching.cancel()
        assert most <= 8
        assert outcomes[200] >= 8, outcomes
        # It is not worse for that: a client that comes later is served.
        async with asyncio.timeout(30):
            while (await answers(remora.address, 1000)).status != 200:
                pass


async def test_one_caller_after_the_other_where_there_is_one_place(tmp_path: Path) -> None:
    """Each has to wait until the one before has ended, and no other call asks."""
    (tmp_path / "reluctant.sh").write_text(RELUCTANT)
    text = configuration({"command": ["sh", str(tmp_path / "reluctant.sh")]}, sessions={"max": 1}, **INFO)
    async with Remora(text) as remora:
        for number in range(4):
            async with asyncio.timeout(30):
                while (await answers(remora.address, number)).status != 200:
                    pass


async def test_a_command_that_failed_has_its_place_until_it_has_ended() -> None:
    """Its handshake is refused, and it does not go: the next is not started beside it."""
    script = """
    trap '' TERM
    read line
    printf '%s\\n' '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}'
    while read line; do :; done
    exec sleep 1
    """
    async with Remora(configuration({"command": ["sh", "-c", script]}, sessions={"max": 1}, **INFO)) as remora:
        calls, most = [], 0
        for number in range(40):
            calls.append(asyncio.create_task(answers(remora.address, number)))
            most = max(most, sessions(remora.process.pid))
            await asyncio.sleep(0.05)
        assert most == 1
        assert {(await each).status for each in calls} == {503}


async def test_sessions_that_a_server_does_not_end_do_not_pile_up() -> None:
    """A new caller with each request, and no DELETE is ever answered."""

    async def script(exchange: Exchange) -> bool:
        if exchange.request.method == "DELETE":
            await for_ever()
        return False

    async with RawBackend(script) as raw:
        text = configuration(
            raw.url, sessions={"max": 4}, admin={"address": "127.0.0.1:0"}, limits={"shutdown_timeout": "2s"}, **INFO
        )
        async with Remora(text) as remora:
            for number in range(60):
                assert (await answers(remora.address, number)).text == "raw"
            address = (await remora.process.event("admin_listening"))["address"]
            async with await Connection.open(address) as connection:
                await connection.send(f"GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
                metrics = (await connection.receive("GET")).body.decode()
            values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
            ending = int(values['remora_sessions{state="ending"}'])
            untold = int(values["remora_sessions_untold_total"])
            # So many are told at once, and as many as there are sessions wait for that.
            assert ending <= 16 + 4
            assert untold >= 60 - 4 - (16 + 4) - raw.methods["DELETE"]


# A log that is not read


class Unread:
    """A Remora whose standard output (or standard error) is a pipe; of the first, lines are read until the one that says where it listens."""

    def __init__(self, text: str, *, full: bool = False, errors: bool = False) -> None:
        self._text, self._full, self._errors = text, full, errors
        self.address = ""

    async def __aenter__(self) -> Unread:
        self._directory = contextlib.ExitStack()
        directory = self._directory.enter_context(tempfile.TemporaryDirectory(prefix="remora-test-"))
        self.path = Path(directory) / "remora.yaml"
        self.path.write_text(self._text)
        self._reading, writing = os.pipe()
        if self._full:
            os.set_blocking(writing, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writing, b"x" * 4096)
            os.set_blocking(writing, True)
        nowhere = asyncio.subprocess.DEVNULL
        self.child = await asyncio.create_subprocess_exec(
            binary("remora"), "-c", str(self.path), stdin=nowhere,
            stdout=nowhere if self._errors else writing, stderr=writing if self._errors else nowhere,
        )
        os.close(writing)
        if not self._full:
            loop = asyncio.get_running_loop()
            lines = await loop.run_in_executor(None, lambda: os.read(self._reading, 4096).splitlines())
            self.address = next(found["address"] for found in map(json.loads, lines) if found["event"] == "listening")
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        await self.child.wait()
        os.close(self._reading)
        self._directory.close()

    async def ends(self, timeout: float) -> int:
        async with asyncio.timeout(timeout):
            return await self.child.wait()


@contextlib.asynccontextmanager
async def stuck(raw: RawBackend, **changes: object) -> AsyncIterator[tuple[Unread, Client]]:
    """With a log that has more than a pipe takes."""
    async with Unread(configuration(raw.url, limits={"shutdown_timeout": "3s"}, **changes)) as remora:
        async with Client(remora.address) as client:
            for number in range(600):
                assert (await client.call("x", id=number)).text == "raw"
            yield remora, client


async def test_the_end_does_not_wait_for_a_reader_of_the_log() -> None:
    async with RawBackend() as raw, stuck(raw) as (remora, _):
        remora.child.send_signal(signal.SIGTERM)
        # 3 s, and what a busy machine takes. It was for ever.
        assert await remora.ends(timeout=12) == 0


async def test_a_reload_does_not_wait_for_a_reader_of_the_log() -> None:
    """Nor does another format of the log, and the end after that."""
    async with RawBackend() as raw, stuck(raw) as (remora, client):
        limits = {"limits": {"shutdown_timeout": "2s"}}
        remora.path.write_text(configuration(raw.url, listen={"path": "/other"}, log={"format": "text"}, **limits))
        remora.child.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while (await client.send(call("x"), target="/other")).status != 200:
                await asyncio.sleep(0.05)
        remora.child.send_signal(signal.SIGTERM)
        assert await remora.ends(timeout=12) == 0


async def test_a_pipe_that_is_full_from_the_start() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    async with RawBackend() as raw:
        text = configuration(raw.url, listen={"address": address}, limits={"shutdown_timeout": "2s"})
        async with Unread(text, full=True) as remora:
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(OSError):
                        await (await Connection.open(address)).close()
                        break
                    await asyncio.sleep(0.05)
            async with Client(address) as client:
                assert (await client.call("x")).text == "raw"
            remora.child.send_signal(signal.SIGTERM)
            assert await remora.ends(timeout=12) == 0


async def test_a_mistake_that_nobody_reads_of() -> None:
    async with Unread("listen: {address: nowhere}\n", full=True, errors=True) as remora:
        assert await remora.ends(timeout=12) == 64
