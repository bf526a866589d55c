"""Servers that ask during a call, over whatever else than plain Streamable HTTP they are reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from harness import lab as lab_server
from harness.http1 import Connection
from harness.lab import AnyLab
from harness.modern import call, encode
from harness.stack import Stack, stack
from harness.ways import TLS, Unix
from question_cases import (
    ANSWERS, EVERYTHING, in_turn, keys, question_and_answer, question_ids, send, the_published_client, together,
)

PLACES = [*lab_server.CHANNELS, ("1.30.0", "nginx"), ("1.30.0", "mutual TLS"), ("1.12.4", "Unix sockets")]


@dataclass
class Place:
    """A server, and Remora before it: one for all cases, which follow each other on the same sessions."""

    lab: AnyLab
    running: Stack

    @property
    def questions(self) -> list[str]:
        """What its version of the SDK can ask."""
        return [each for each in ANSWERS if each != "elicitation" or self.lab.version != "1.2.1"]


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
async def place(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    version, where = request.param
    directory = tmp_path_factory.mktemp("place")
    ways = {"mutual TLS": lambda: TLS(directory, mutual=True), "Unix sockets": lambda: Unix(directory)}
    labs = lab_server.balanced(version, "sse") if where == "nginx" else lab_server.any_lab(
        version, "sse" if where in ways else where, directory)
    async for lab in labs:
        async with stack(lab.address, way=ways[where]() if where in ways else lab.way) as running:
            yield Place(lab, running)


async def test_each_question_and_its_answer(place: Place) -> None:
    for what in place.questions:
        await question_and_answer(place.running, what)
    ids = await question_ids(place.running)
    assert sorted(ids) == list(range(len(place.questions))), "on one session, whose server counts from 0"


async def test_questions_together_and_in_turn(place: Place) -> None:
    first, second = place.questions[:2]
    await together(place.running, first, second)
    await in_turn(place.running, second, first, second)


async def test_the_published_client_answers(place: Place) -> None:
    await the_published_client(place.running, *place.questions)


async def test_a_client_that_leaves_while_it_waits(place: Place) -> None:
    """The server is told, as far as it listens meanwhile, and the next call goes through."""
    address = place.running.front.address
    before = (await lab_server.record(place.lab.address))["ends"]
    connection = await Connection.open(address)
    message = call("slow", {"seconds": 20}, clientCapabilities=EVERYTHING)
    await connection.send(encode(message, host=address))
    await lab_server.until(
        place.lab.address, lambda record: record["ends"].get("started", 0) > before.get("started", 0))
    connection.abort()
    if not place.lab.does_one_after_the_other:
        await lab_server.until(
            place.lab.address, lambda record: record["ends"].get("cancelled", 0) > before.get("cancelled", 0))
    asked = await send(place.running, {"questions": ["roots"]})
    assert keys(asked) == ["roots-1"]
    assert (await send(place.running, {"questions": ["roots"]}, before=asked)).result["content"]
