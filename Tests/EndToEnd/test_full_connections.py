"""A connection whose client does not read, and what comes on it next: nothing waits in two places, nothing is lost."""

from __future__ import annotations

import asyncio
import json

import pytest

from harness import http1
from harness.http1 import TIMEOUT, Connection
from harness.modern import Answer, call, encode, request
from question_cases import EVERYTHING
from servers.asking import Running
from test_parking import asking

NEXT = {
    "a listener": lambda: request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id="next"),
    "a call": lambda: call("next", id="next"),
    "a list": lambda: request("tools/list", id="next"),
    "a call that asks": lambda: call("next", id="next", clientCapabilities=EVERYTHING),
}


@pytest.mark.parametrize("get", [True, False], ids=["get", "post"])
@pytest.mark.parametrize("what", NEXT)
async def test_an_answer_behind_much_progress(what: str, get: bool) -> None:
    """The client asks for progress and reads nothing. When its connection is full, the server asks on the GET stream, so that
    the request is answered; the next request is there already. Then the client reads: all the progress, the answer, and the
    next answer."""
    sent = 0
    full = asyncio.Event()

    async def tool(running: Running) -> None:
        nonlocal sent
        if running.params["name"] == "next":
            return await running.finish("next")
        fill = "x" * 32_000
        while not full.is_set():
            try:
                async with asyncio.timeout(1):
                    await running.tell("progress", progressToken=running.token, progress=sent + 1, message=fill)
            except TimeoutError:
                full.set()  # It is in the buffer all the same.
            sent += 1
        asks = asyncio.create_task(running.ask(0, get=get))
        await running.answer(0)
        await asks
        await running.finish("done")

    async with asking(tool, log={"level": "info"}) as (server, running):
        connection = await Connection.open(running.remora.address)
        first = call("x", id="first", clientCapabilities=EVERYTHING)
        first["params"]["_meta"]["progressToken"] = "p"
        await connection.send(encode(first, host=running.remora.address))
        async with asyncio.timeout(60):
            await full.wait()
        await connection.send(encode(NEXT[what](), host=running.remora.address))
        if get:
            await asyncio.sleep(0.5)  # The question is taken before the client reads, or the case is another one.
        answer = Answer(await connection.receive(timeout=60))
        assert answer.result["resultType"] == "input_required", answer
        progress = [json.loads(each)["params"]["progress"] for each in answer.messages[:-1]]
        assert progress == sorted(set(progress)) and progress[0] == 1, "in order, without gaps at the start"
        if not get:
            assert len(progress) == sent
        if what == "a listener":
            async with asyncio.timeout(TIMEOUT):
                head = await http1.read_head(connection.reader)
                assert head is not None and head.status == 200 and head.media_type == "text/event-stream", head
                chunk = await anext(http1.chunks(connection.reader))
            assert b"notifications/subscriptions/acknowledged" in chunk
        else:
            following = Answer(await connection.receive())
            assert following.status == 200 and following.json["id"] == "next", following
        connection.abort()
