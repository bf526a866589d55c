"""Replicas that do not take what another one brings, or say nothing: the client is told so, with its id, and soon."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Answer
from harness.replicas import Replicas, new_key
from servers.counting import CountingBackend
from test_replicas import begin, is_lost, never_twice, retry, send

ADMIN = {"admin": {"address": "127.0.0.1:0"}}


async def metrics(group: Replicas, name: str) -> dict[str, str]:
    address = (await group.running[name].process.event("admin_listening"))["address"]
    async with await Connection.open(address) as connection:
        await connection.send(f"GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        text = (await connection.receive("GET")).body.decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def is_refused(answer: Answer) -> bool:
    """It was not delivered, and can be sent again."""
    return answer.json["id"] == 2 and (answer.status, answer.error["data"]["reason"]) == (503, "replica_refused")


async def test_a_retry_that_is_not_let_in_is_told_so_and_not_lost(tmp_path: Path) -> None:
    """The keys of one are in another order: what it seals, the other cannot open. Put right, the same retry goes on."""
    async with CountingBackend() as server:
        group = Replicas(server.address, count=2, **ADMIN)
        right = group.texts["b"]
        other = new_key(tmp_path / "other.key")
        group.texts["b"] = right.replace(f'["{group.key}"]', f'["{other}", "{group.key}"]')
        assert group.texts["b"] != right
        async with group:
            message = begin("t", times=1)
            asked = await send(group.fronts["a"], message)
            again = retry(message, asked)
            for _ in range(2):
                assert is_refused(await send(group.fronts["b"], again))
            assert server.runs["t"] == 1 and not server.told
            await group.running["a"].process.event("peer_refused")
            said = await group.running["b"].process.event("peer_unusable")
            assert (said["replica"], said["status"]) == ("a", 401)
            assert int((await metrics(group, "a"))['remora_peer_refusals_total{side="here"}']) >= 2
            assert int((await metrics(group, "b"))['remora_peer_refusals_total{side="there"}']) >= 2
            await group.running["b"].reload(right)
            assert (await send(group.fronts["b"], again)).result["resultType"] == "complete"
            never_twice(server)


@pytest.mark.parametrize("tool", ["plain", "safe"])
async def test_a_frozen_replica_counts_as_one_that_is_gone(tool: str) -> None:
    """What may run twice runs again, and of the rest the client hears at once that it is lost."""
    async with CountingBackend() as server, Replicas(server.address, count=2) as group:
        message = begin("t", tool, times=1)
        asked = await send(group.fronts["a"], message)
        frozen = group.running["a"].process.child
        frozen.send_signal(signal.SIGSTOP)
        try:
            # A minute it was.
            answer = await send(group.fronts["b"], retry(message, asked), timeout=20)
            if tool == "plain":
                assert is_lost(answer)
                assert server.runs["t"] == 1
            else:
                assert answer.result["resultType"] == "complete", answer
                assert server.runs["t"] == 2
            said = await group.running["b"].process.event("peer_unusable")
            assert said["replica"] == "a" and "status" not in said
        finally:
            frozen.send_signal(signal.SIGCONT)
        never_twice(server)


@contextlib.asynccontextmanager
async def impostor(address: str, says: bytes | None) -> AsyncIterator[list[bytes]]:
    """A process that listens where a replica was: it reads a request, says something, and closes; or says nothing."""
    heard: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            if says is None:
                heard.append(await reader.read())
            else:
                writer.write(says)
                await writer.drain()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    host, _, port = address.rpartition(":")
    async with await asyncio.start_server(accept, host, int(port)):
        yield heard
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def status(code: int, *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {code} X", "Content-Length: 0", *fields, "", ""]).encode()


WORDS: dict[str, Any] = {
    "400": status(400),
    "401": status(401, "Connection: close"),
    "403": status(403),
    "404": status(404),
    "500": status(500),
    "503": status(503),
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half an answer": b"HTTP/1.1 204 No Con",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    "an end": b"",
    "a stream": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    "nothing": None,
}


@pytest.mark.parametrize("word", WORDS)
async def test_whoever_is_no_replica_gets_no_retry(word: str) -> None:
    async with CountingBackend() as server, Replicas(server.address, count=2) as group:
        message = begin("t", times=1)
        asked = await send(group.fronts["a"], message)
        await group.kill("a")
        async with impostor(group.peers["a"], WORDS[word]) as heard:
            answer = await send(group.fronts["b"], retry(message, asked), timeout=20)
            assert answer.json["id"] == 2
            assert is_refused(answer) if word.startswith("4") else is_lost(answer), answer
            # The client's credentials and answers are not for it.
            assert heard and all(b"/hear" in each.split(b"\r\n")[0] for each in heard[:1])
            assert not any(b"inputResponses" in each for each in heard)
        assert server.runs["t"] == 1
        never_twice(server)


async def test_the_rest_of_a_group_goes_on_where_one_refuses() -> None:
    """The one that had the call is gone, and another takes nothing from here."""
    async with CountingBackend() as server, Replicas(server.address, count=3) as group:
        calls = []
        # Which of the two goes on with a call is as good as random.
        for number in range(8):
            message = begin(f"t{number}", "safe", times=1)
            calls.append((message, await send(group.fronts["a"], message)))
        await group.kill("a")
        await group.kill("c")
        async with impostor(group.peers["c"], status(401)) as heard:
            for each in calls:
                assert (await send(group.fronts["b"], retry(*each), timeout=20)).result["resultType"] == "complete"
            assert heard
        never_twice(server)
