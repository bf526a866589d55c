"""Many calls of one principal share few sessions, and every answer finds its caller."""

from __future__ import annotations

import asyncio

import pytest

from harness.http1 import Connection
from harness.modern import Answer, Client, call, encode
from harness.stack import Stack, stack

MOST_SESSIONS = 4


async def echo(client: Client, number: int) -> None:
    text = f"text {number}"
    answer = await client.call("echo", {"text": text}, id=f"id-{number}")
    assert answer.json["id"] == f"id-{number}"
    assert answer.text == text


async def check_sessions(running: Stack) -> None:
    initializes = await running.backend_messages("initialize")
    assert 1 <= len(initializes) <= MOST_SESSIONS
    assert len(await running.backend_messages("notifications/initialized")) == len(initializes)


async def test_a_thousand_calls_in_a_row(lab_json: str) -> None:
    async with stack(lab_json) as running:
        for number in range(1000):
            await echo(running.client, number)
        await check_sessions(running)
        assert len(running.front.recordings) == 1, "the client's connection is kept alive"
        assert len(running.back.recordings) <= 8, "connections to the backend are kept alive"


@pytest.mark.parametrize("mode", ["sse", "json"])
async def test_two_hundred_calls_at_once(lab: str, lab_json: str, mode: str) -> None:
    async with stack(lab if mode == "sse" else lab_json) as running:

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                await echo(client, number)
                await echo(client, number + 1000)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(one(number))
        await check_sessions(running)


async def test_answers_that_overtake_each_other(lab: str) -> None:
    async with stack(lab) as running:

        async def one(number: int) -> None:
            async with Client(running.front.address) as client:
                seconds = 0.3 - number * 0.01
                answer = await client.call("slow", {"seconds": seconds, "steps": number + 1}, id=7)
                assert answer.json["id"] == 7 and answer.text == f"done after {number + 1}"

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(one(number))
        await check_sessions(running)


async def test_requests_sent_ahead_are_answered_in_order(lab_json: str) -> None:
    """HTTP pipelining (RFC 9112, section 9.3.2)."""
    async with stack(lab_json) as running:
        async with await Connection.open(running.front.address) as connection:
            requests = [encode(call("echo", {"text": str(number)}, id=number)) for number in range(20)]
            await connection.send(b"".join(requests))
            for number in range(20):
                answer = Answer(await connection.receive())
                assert (answer.json["id"], answer.text) == (number, str(number))
