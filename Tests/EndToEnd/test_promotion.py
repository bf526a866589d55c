"""Calls that become tasks of Remora's own because they last (translation contract, section 11; decision 0051)."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from harness import lab
from harness.lab import AnyLab, ends
from harness.listener import Listener
from harness.modern import Answer, Client, call
from harness.replicas import Replicas
from harness.stack import Stack, stack
from servers.asking import Asking, Running
from servers.raw import Exchange, RawBackend
from test_admin import metrics, observed
from test_tasks import ANSWERS, ENDED, KNOWS, MISSING, TASKS, ended, get, send, start, text, told, until

AFTER = {"promote": "300ms"}
LATER = {"promote": "2s"}
"""For what has to happen before, on a machine that is busy."""
ELICITS = KNOWS | {"elicitation": {"form": {}}}


@pytest.fixture(scope="module", params=[*lab.HTTP, *lab.CHANNELS], ids="-".join)
async def any_lab(
    request: pytest.FixtureRequest, anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AnyLab]:
    async for it in lab.any_lab(*request.param, tmp_path_factory.mktemp("lab")):
        yield it


@pytest.fixture
async def running(any_lab: AnyLab) -> AsyncIterator[Stack]:
    async with stack(any_lab.address, way=any_lab.way, tasks=AFTER) as it:
        yield it


def without(capabilities: dict[str, Any]) -> dict[str, Any]:
    """Of the same client when it waits for its answer, however long that takes. It has the same sessions."""
    return {name: value for name, value in capabilities.items() if name != "extensions"}


def asks_late(any_lab: AnyLab) -> None:
    """Whether its questions come after a while."""
    if any_lab.form == "json":
        pytest.skip("a server that answers in JSON cannot be answered")
    if any_lab.revision < "2025-06-18":
        pytest.skip("no elicitation")


# Real servers of each revision, over each transport.


async def test_the_extension_is_declared(running: Stack) -> None:
    assert (await send(running, "server/discover", {})).result["capabilities"]["extensions"] == TASKS


async def test_a_quick_call_is_answered_plainly(any_lab: AnyLab) -> None:
    async with stack(any_lab.address, way=any_lab.way, tasks={"promote": "1m"}) as running:
        for capabilities in (KNOWS, ANSWERS):
            assert (await start(running, "echo", capabilities, text="quick")).text == "quick"


@pytest.mark.parametrize("capabilities", [KNOWS, ANSWERS], ids=["shared", "exclusive"])
async def test_a_long_call_becomes_a_task(any_lab: AnyLab, running: Stack, capabilities: Any) -> None:
    before = await ends(any_lab.address, "finished")
    created = (await start(running, "slow", capabilities, seconds=2, steps=4)).result
    assert (created["resultType"], created["status"], created["ttlMs"]) == ("task", "working", 3_600_000)
    assert created["pollIntervalMs"] > 0 and not {"result", "inputRequests", "error"} & created.keys()
    said = set()
    while (found := await get(running, created["taskId"], capabilities))["status"] == "working":
        said.add(found.get("statusMessage"))
        assert found["createdAt"] == created["createdAt"]
        await asyncio.sleep(0.1)
    assert found["status"] == "completed" and text(found["result"]) == "done after 4"
    assert found["result"]["resultType"] == "complete"
    if any_lab.version == "1.30.0" and any_lab.form != "json":
        assert said >= {"step 2", "step 3"}, "progress in words"
    assert await get(running, created["taskId"], capabilities) == found
    assert await ends(any_lab.address, "finished") == before + 1, "it ran once"
    # What it had is free for others.
    assert (await start(running, "echo", without(capabilities), text="next")).text == "next"


async def test_a_client_that_declares_nothing_waits(running: Stack) -> None:
    assert (await start(running, "slow", {}, seconds=1)).text == "done after 1"


async def test_cancellation(any_lab: AnyLab, running: Stack) -> None:
    """The server hears of it, and the client at once."""
    for capabilities in (KNOWS, ANSWERS):
        before = await ends(any_lab.address, "cancelled")
        id = (await start(running, "slow", capabilities, seconds=60)).result["taskId"]
        for _ in range(2):
            cancelled = await send(running, "tasks/cancel", capabilities, taskId=id)
            assert cancelled.result.keys() == {"resultType", "_meta"}
        assert (await get(running, id, capabilities))["status"] == "cancelled"
        if not any_lab.does_one_after_the_other:
            await lab.until(any_lab.address, lambda record: record["ends"].get("cancelled", 0) > before)
        assert (await start(running, "echo", without(capabilities), text="next")).text == "next"


async def test_questions_in_the_middle(any_lab: AnyLab, running: Stack) -> None:
    asks_late(any_lab)
    arguments = {"questions": ["elicitation", "elicitation"], "seconds": 1.5, "who": "P"}
    id = (await start(running, "ask", ELICITS, **arguments)).result["taskId"]
    keys = []
    for name in ("Ada", "Bob"):
        asked = await until(running, id, lambda task: task["status"] == "input_required", ELICITS)
        (key, question), = asked["inputRequests"].items()
        assert question["method"] == "elicitation/create" and question["params"]["message"] == f"P {len(keys) + 1}.1"
        keys.append(key)
        answers = {key: {"action": "accept", "content": {"name": name}}, "unknown": {"action": "accept"}}
        wrong = await send(running, "tasks/update", ELICITS, taskId=id, inputResponses={key: {"action": "maybe"}})
        assert wrong.code == -32602
        for _ in range(2):  # The second says nothing to anybody.
            updated = await send(running, "tasks/update", ELICITS, taskId=id, inputResponses=answers)
            assert updated.result.keys() == {"resultType", "_meta"}
    assert len(set(keys)) == 2
    done = await ended(running, id, ELICITS)
    assert [each["content"]["name"] for each in json.loads(text(done["result"]))] == ["Ada", "Bob"]


# A server whose every step the test decides.


async def test_a_round_and_then_a_task() -> None:
    async def tool(run: Running) -> None:
        await run.ask(1)
        first = await run.answer(1)
        await asyncio.sleep(3)
        await run.tell("progress", progressToken=run.token, progress=1, message="half way")
        await run.ask(2)
        await run.finish(json.dumps([first["result"], (await run.answer(2))["result"]]))

    async with Asking(tool) as server, stack(server.address, tasks=LATER) as running:
        message = call("x", clientCapabilities=ELICITS)
        async with Client(running.front.address) as client:
            asked = await client.send(message)
            key, = asked.result["inputRequests"]
            message["params"] |= {
                "requestState": asked.result["requestState"], "inputResponses": {key: {"action": "accept", "content": {"n": "1"}}}}
            created = await client.send(message)
            assert created.result["resultType"] == "task"
            # A retry whose answer was lost.
            same = await client.send(message)
            assert same.result["taskId"] == created.result["taskId"]
            message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
            refused = await client.send(message)
            assert (refused.status, refused.code, refused.error["data"]) == (400, -32021, MISSING)
        id = created.result["taskId"]
        found = await until(running, id, lambda task: task["status"] == "input_required", ELICITS)
        assert found["statusMessage"] == "half way"
        new, = found["inputRequests"]
        assert new != key, "keys are never used twice"
        await send(running, "tasks/update", ELICITS, taskId=id, inputResponses={new: {"action": "decline"}})
        done = await ended(running, id, ELICITS)
        assert json.loads(text(done["result"])) == [{"action": "accept", "content": {"n": "1"}}, {"action": "decline"}]
        assert server.methods["tools/call"] == 1 and len(server.replies) == 2


class Slow(RawBackend):
    """Answers calls when it is told to, as JSON or as a stream that has begun."""

    def __init__(self, form: str = "json", **options: Any) -> None:
        super().__init__(self._script, **options)
        self.form = form
        self.calls: list[Exchange] = []
        self.cancelled: list[Any] = []

    async def _script(self, exchange: Exchange) -> bool:
        if exchange.method == "notifications/cancelled":
            self.cancelled.append(exchange.message["params"]["requestId"])
        if exchange.method != "tools/call":
            return False
        self.calls.append(exchange)
        if self.form == "sse":
            await exchange.stream_head()
        elif self.form == "told":
            await exchange.stream_head()
            token = exchange.message["params"]["_meta"]["progressToken"]
            await exchange.chunk(b"data: " + json.dumps({
                "jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": 1, "message": "early"}}).encode() + b"\r\n\r\n")
        while not exchange.writer.is_closing():
            await asyncio.sleep(0.02)
            if exchange in self.done:
                return True
        return True

    @property
    def done(self) -> list[Exchange]:
        return [each for each in self.calls if getattr(each, "is_done", False)]

    async def answer(self, message: bytes, number: int = -1) -> None:
        exchange = self.calls[number]
        if self.form == "json":
            await exchange.json(message)
        else:
            await exchange.chunk(b"data: " + message + b"\r\n\r\n")
            await exchange.chunk(b"")
        exchange.is_done = True  # type: ignore[attr-defined]


@pytest.mark.parametrize("capabilities", [KNOWS, ELICITS], ids=["shared", "exclusive"])
@pytest.mark.parametrize("form", ["json", "sse"])
async def test_ends(form: str, capabilities: Any) -> None:
    async with Slow(form) as server, stack(server.address, tasks=AFTER) as running:
        for message, status in [
            (b'{"content":[{"type":"text","text":"x"}],"isError":true}', "completed"),
            (b'{"structuredContent":{"a":1.0}}', "completed"),
            (b'{}', "completed"),
            (None, "failed"),
        ]:
            id = (await start(running, "x", capabilities)).result["taskId"]
            exchange = server.calls[-1]
            await server.answer(exchange.error(-32000, "fell in", a=1) if message is None else exchange.response(message))
            done = await ended(running, id, capabilities)
            assert done["status"] == status
            if message is None:
                assert done["error"] == {"code": -32000, "message": "fell in", "data": {"a": 1}} and "result" not in done
            elif message == b"{}":
                assert done["result"]["content"] == []
            else:
                assert done["result"].items() >= {
                    name: value for name, value in json.loads(message).items() if name != "content"}.items()
        assert server.methods["tools/call"] == 4 and len(server.issued) == 1, "one session served all"


async def test_the_answer_may_have_begun_as_a_stream() -> None:
    """It ends with the task, and says nothing of the call after that."""
    async with Slow("told") as server, stack(server.address, tasks=AFTER) as running:
        message = call("x", clientCapabilities=KNOWS)
        message["params"]["_meta"]["progressToken"] = "mine"
        async with Client(running.front.address) as client:
            created = await client.send(message)
        assert created.http.media_type == "text/event-stream"
        assert created.result["resultType"] == "task"
        await server.answer(server.calls[0].response(b'{"content":[]}'))
        assert (await ended(running, created.result["taskId"]))["status"] == "completed"


@pytest.mark.parametrize("capabilities", [KNOWS, ELICITS], ids=["shared", "exclusive"])
@pytest.mark.parametrize("how", ["abort", "garbage", "session"])
async def test_a_server_that_is_lost(how: str, capabilities: Any) -> None:
    async with Slow() as server, stack(server.address, tasks=AFTER, judge_back=False) as running:
        id = (await start(running, "x", capabilities)).result["taskId"]
        if how == "abort":
            server.calls[0].abort()
        elif how == "garbage":
            await server.answer(b"{]")
        else:
            server.sessions.clear()
            await server.calls[0].reply(404)
        done = await ended(running, id, capabilities)
        assert done["status"] == "failed"
        assert done["error"]["data"]["reason"] in ("outcome_unknown", "session_lost")
        assert done["statusMessage"] == done["error"]["message"] and "check before you call again" in done["statusMessage"]
        assert server.methods["tools/call"] == 1, "it is not sent again"


async def test_off_by_default() -> None:
    async with Slow() as server, stack(server.address) as running:
        assert "extensions" not in (await send(running, "server/discover")).result["capabilities"]
        assert (await send(running, "tasks/get", taskId="x")).status == 404
        waiting = asyncio.create_task(start(running, "x"))
        await asyncio.sleep(1)
        assert not waiting.done()
        await server.answer(server.calls[0].response(b'{"content":[{"type":"text","text":"plain"}]}'))
        assert (await waiting).text == "plain"


@pytest.mark.parametrize("capabilities", [KNOWS, ELICITS], ids=["shared", "exclusive"])
async def test_without_room_it_stays_a_plain_call(capabilities: Any) -> None:
    async with Slow() as server, stack(server.address, tasks=AFTER | {"max": 1, "max_per_principal": 1}) as running:
        id = (await start(running, "x", capabilities)).result["taskId"]
        waiting = asyncio.create_task(start(running, "x", capabilities))
        await asyncio.sleep(1)
        assert not waiting.done()
        await server.answer(server.calls[1].response(b'{"content":[{"type":"text","text":"plain"}]}'))
        assert (await waiting).text == "plain"
        await server.answer(server.calls[0].response(b'{"content":[]}'), 0)
        assert (await ended(running, id, capabilities))["status"] == "completed"


async def test_a_client_that_leaves_its_task_does_not_cancel_the_call() -> None:
    async with Slow() as server, stack(server.address, tasks=LATER) as running:
        # Each request of `start` closes its connection.
        ids = [(await start(running, "x", each)).result["taskId"] for each in (KNOWS, ELICITS)]
        await asyncio.sleep(0.5)
        assert server.cancelled == []
        # One that leaves before has it cancelled, as ever.
        leaving = asyncio.create_task(start(running, "x"))
        await server.until(lambda it: it.methods["tools/call"] == 3)
        leaving.cancel()
        await server.until(lambda it: len(server.cancelled) == 1)
        for number, id in enumerate(ids):
            await server.answer(server.calls[number].response(b'{"content":[]}'), number)
            assert (await ended(running, id, ELICITS))["status"] == "completed"


async def test_a_cancelled_call_whose_server_goes_on() -> None:
    """Its session is nobody's after that, where the server may still ask in it."""
    async with Slow() as server, stack(server.address, tasks=AFTER) as running:
        id = (await start(running, "x", ELICITS)).result["taskId"]
        await send(running, "tasks/cancel", ELICITS, taskId=id)
        await server.until(lambda it: len(server.cancelled) == 1)
        late = b'{"content":[{"type":"text","text":"late"}]}'
        await server.answer(server.calls[0].response(late))
        await asyncio.sleep(0.2)
        assert (await get(running, id, ELICITS))["status"] == "cancelled", "an end is not taken back"


@pytest.mark.parametrize("tool", ["once", "again"])
async def test_an_older_state_leads_to_the_task(tool: str) -> None:
    """Also where the call's entry has made room for another call, and the tool may run twice."""

    async def run_tool(run: Running) -> None:
        await run.ask(1)
        await run.answer(1)
        if run.arguments.get("stays"):
            await run.cancelled()
        await asyncio.sleep(3)
        await run.finish("done")

    hints = {"readOnlyHint": tool == "again"}
    tools = json.dumps({"tools": [{"name": "x", "inputSchema": {"type": "object"}, "annotations": hints}]}).encode()
    parked = {"max_parked": 1, "max_parked_per_principal": 1}
    async with Asking(run_tool, results={"tools/list": tools}) as server, stack(
        server.address, tasks=AFTER, interaction=parked, server={"annotations": "trust"}) as running:
        async with Client(running.front.address) as client:
            message = call("x", clientCapabilities=ELICITS)
            asked = await client.send(message)
            message["params"] |= {"requestState": asked.result["requestState"], "inputResponses": accepted(asked)}
            created = await client.send(message)
            assert created.result["resultType"] == "task"
            # Another call takes the only place.
            assert (await client.send(call("x", {"stays": True}, id="other", clientCapabilities=ELICITS))).result["inputRequests"]
            same = await client.send(message)
            assert same.result["taskId"] == created.result["taskId"]
            message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
            refused = await client.send(message)
            assert (refused.status, refused.code, refused.error["data"]) == (400, -32021, MISSING)
        done = await ended(running, created.result["taskId"], ELICITS)
        assert text(done["result"]) == "done"
        assert server.methods["tools/call"] == 2 and server.cancelled == []


def accepted(asked: Answer) -> dict[str, Any]:
    return {key: {"action": "accept", "content": {}} for key in asked.result["inputRequests"]}


async def test_an_open_question_of_a_task_makes_room() -> None:
    """Its session is for another call, where there is no other."""

    async def tool(run: Running) -> None:
        if run.params["name"] == "x":
            return await run.finish("plain")
        await asyncio.sleep(0.6)
        await run.ask(1)
        await run.cancelled()

    async with Asking(tool) as server, stack(server.address, tasks=AFTER, sessions={"max": 1}) as running:
        id = (await start(running, "asks", ELICITS)).result["taskId"]
        await until(running, id, lambda task: task["status"] == "input_required", ELICITS)
        assert (await start(running, "x", {"elicitation": {"form": {}}})).text == "plain"
        found = await get(running, id, ELICITS)
        assert found["status"] == "failed" and found["error"]["data"] == {"reason": "room_needed"}
        assert "check before you call again" in found["error"]["message"]
        assert len(server.cancelled) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("capabilities", [KNOWS, ELICITS], ids=["shared", "exclusive"])
async def test_what_the_client_could_not_be_asked(capabilities: Any, when: str) -> None:
    """A failure after that says what to declare, as of any call."""

    async def tool(run: Running) -> None:
        if when == "after":
            await asyncio.sleep(0.6)
        await run.ask(1, "sampling/createMessage")
        assert (await run.answer(1))["error"]["code"] == -32601
        await asyncio.sleep(1)
        await run.finish({"content": [], "isError": True})

    async with Asking(tool) as server, stack(server.address, tasks=AFTER) as running:
        done = await ended(running, (await start(running, "x", capabilities)).result["taskId"], capabilities)
        assert done["status"] == "failed" and done["error"]["code"] == -32021
        assert done["error"]["data"] == {"requiredCapabilities": {"sampling": {}}}
        assert server.failures == []


@pytest.mark.parametrize("capabilities", [KNOWS, ELICITS], ids=["shared", "exclusive"])
async def test_the_end_of_the_process_is_no_failure_of_its_tasks(capabilities: Any) -> None:
    async with Slow() as server:
        async with stack(server.address, tasks=AFTER) as running:
            await start(running, "x", capabilities)
        assert len(server.cancelled) == 1
        assert [each for each in running.remora.process.events() if each["event"] == "task_failed"] == []


async def test_no_answer_follows_the_end() -> None:
    """Of two answers in one request, the second comes too late: the session may be another call's by then."""

    class Quick(Asking):
        """Ends the call before it takes the first answer."""

        async def _script(self, exchange: Exchange) -> bool:
            message = exchange.message
            if isinstance(message, dict) and "method" not in message and "id" in message:
                self.replies.append((exchange.session, message))
                if len(self.replies) == 1:
                    await self.runs[0].finish("done")
                    await asyncio.sleep(0.5)
                await exchange.reply(202, type=None)
                return True
            return await super()._script(exchange)

        runs: list[Running]

    async def tool(run: Running) -> None:
        server.runs = [run]
        await asyncio.sleep(0.6)
        await run.ask(1)
        await run.ask(2)
        await asyncio.sleep(60)

    async with Quick(tool) as server, stack(server.address, tasks=AFTER) as running:
        id = (await start(running, "x", ELICITS)).result["taskId"]
        asked = await until(running, id, lambda task: len(task.get("inputRequests", {})) == 2, ELICITS)
        answers = {key: {"action": "decline"} for key in asked["inputRequests"]}
        await send(running, "tasks/update", ELICITS, taskId=id, inputResponses=answers)
        assert text((await ended(running, id, ELICITS))["result"]) == "done"
        assert len(server.replies) == 1


async def test_a_task_that_has_outlived_its_time() -> None:
    async with Slow() as server, stack(server.address, tasks=AFTER | {"max_ttl": "1s"}) as running:
        ids = [(await start(running, "x", each)).result["taskId"] for each in (KNOWS, ELICITS)]
        await server.until(lambda it: len(server.cancelled) == 2, timeout=10)
        await asyncio.sleep(1.5)
        for id in ids:
            assert (await send(running, "tasks/get", ELICITS, taskId=id)).code == -32602


async def test_a_task_outlives_the_time_of_a_request() -> None:
    async with Slow() as server, stack(server.address, tasks=AFTER, limits={"request_timeout": "1s", "backend_idle_timeout": "1m"}) as running:
        ids = [(await start(running, "x", each)).result["taskId"] for each in (KNOWS, ELICITS)]
        await asyncio.sleep(1.5)
        for number, id in enumerate(ids):
            assert (await get(running, id, ELICITS))["status"] == "working"
            await server.answer(server.calls[number].response(b'{"content":[]}'), number)
            assert (await ended(running, id, ELICITS))["status"] == "completed"


async def test_a_question_may_be_open_for_longer_than_a_server_may_be_silent() -> None:
    async def tool(run: Running) -> None:
        await asyncio.sleep(0.6)
        await run.ask(1)
        await run.finish((await run.answer(1))["result"]["action"])

    async with Asking(tool) as server, stack(
        server.address, tasks=AFTER, limits={"backend_idle_timeout": "1s"}) as running:
        id = (await start(running, "x", ELICITS)).result["taskId"]
        await asyncio.sleep(2)
        asked = await get(running, id, ELICITS)
        key, = asked["inputRequests"]
        await send(running, "tasks/update", ELICITS, taskId=id, inputResponses={key: {"action": "decline"}})
        assert text((await ended(running, id, ELICITS))["result"]) == "decline"


async def test_a_question_that_is_taken_back() -> None:
    async def tool(run: Running) -> None:
        await asyncio.sleep(0.6)
        await run.ask(1)
        await asyncio.sleep(0.5)
        await run.tell("cancelled", requestId=1)
        await asyncio.sleep(0.5)
        await run.finish("alone")

    async with Asking(tool) as server, stack(server.address, tasks=AFTER) as running:
        id = (await start(running, "x", ELICITS)).result["taskId"]
        await until(running, id, lambda task: task["status"] == "input_required", ELICITS)
        await until(running, id, lambda task: task["status"] == "working", ELICITS)
        assert text((await ended(running, id, ELICITS))["result"]) == "alone" and server.replies == []


async def test_what_is_open_at_the_end_is_answered() -> None:
    """A tool that does not wait, and one whose task is cancelled."""
    async def tool(run: Running) -> None:
        await asyncio.sleep(0.6)
        await run.ask(run.arguments["question"])
        if run.arguments.get("waits"):
            await run.answer(run.arguments["question"])
        await run.finish("done")

    async with Asking(tool) as server, stack(server.address, tasks=AFTER) as running:
        id = (await start(running, "x", ELICITS, question=1)).result["taskId"]
        assert (await ended(running, id, ELICITS))["status"] == "completed"
        await server.until(lambda it: len(server.replies) == 1, timeout=10)
        id = (await start(running, "x", ELICITS, question=2, waits=True)).result["taskId"]
        await until(running, id, lambda task: task["status"] == "input_required", ELICITS)
        await send(running, "tasks/cancel", ELICITS, taskId=id)
        assert (await get(running, id, ELICITS))["status"] == "cancelled"
        await server.until(lambda it: len(server.replies) == 2, timeout=10)
        assert len(server.cancelled) == 1


async def test_a_listener_is_told() -> None:
    async def tool(run: Running) -> None:
        await asyncio.sleep(0.8)
        await run.tell("progress", progressToken=run.token, progress=1, message="half way")
        await asyncio.sleep(0.3)
        await run.ask(1)
        await run.finish((await run.answer(1))["result"]["action"])

    async with Asking(tool) as server, stack(server.address, tasks=AFTER) as running:
        id = (await start(running, "x", ELICITS)).result["taskId"]
        async with Listener(running.front.address, capabilities=ELICITS, taskIds=[id]) as listener:
            assert listener.honoured == {"taskIds": [id]}
            said = told(await listener.message())
            assert (said["status"], said["statusMessage"]) == ("working", "half way")
            asked = told(await listener.message())
            assert asked["status"] == "input_required"
            key, = asked["inputRequests"]
            await send(running, "tasks/update", ELICITS, taskId=id, inputResponses={key: {"action": "decline"}})
            while (done := told(await listener.message()))["status"] != "completed":
                assert done["status"] == "working"
            assert text(done["result"]) == "decline"


async def test_calls_at_once_are_counted_on() -> None:
    """A call keeps its turn when it becomes a task."""
    async with Slow() as server, stack(server.address, tasks=AFTER, server={"calls_at_once": 1}) as running:
        id = (await start(running, "x")).result["taskId"]
        waiting = asyncio.create_task(start(running, "x", {}))
        await asyncio.sleep(0.5)
        assert len(server.calls) == 1
        await server.answer(server.calls[0].response(b'{"content":[]}'))
        await server.until(lambda it: it.methods["tools/call"] == 2)
        await server.answer(server.calls[1].response(b'{"content":[{"type":"text","text":"second"}]}'))
        assert (await waiting).text == "second"
        assert (await get(running, id))["status"] == "completed"


async def test_numbers() -> None:
    async with Slow() as server, observed(server.address, tasks=AFTER | {"max": 3, "max_per_principal": 3}) as (running, admin):
        ids = [(await start(running, "x", each)).result["taskId"] for each in (KNOWS, ELICITS, KNOWS)]
        waiting = asyncio.create_task(start(running, "x"))
        await server.until(lambda it: it.methods["tools/call"] == 4)
        await asyncio.sleep(0.6)
        await server.answer(server.calls[3].response(b'{"content":[]}'), 3)
        await waiting
        await server.answer(server.calls[0].response(b'{"content":[]}'), 0)
        await server.answer(server.calls[1].error(-32000, "fell in"), 1)
        for id in ids[:2]:
            await ended(running, id, ELICITS)

        async def values(name: str, label: str, *of: str) -> list[float]:
            page = await metrics(admin)
            return [page.value(name, **{label: each}) for each in of]

        assert await values("remora_tasks", "state", "running", "kept") == [1, 2]
        await send(running, "tasks/cancel", taskId=ids[2])
        assert await values("remora_tasks", "state", "running", "kept") == [0, 3]
        assert await values("remora_tasks_ended_total", "status", "completed", "failed", "cancelled") == [1, 1, 1]
        assert await values("remora_tasks_created_total", "from", "server", "call") == [0, 3]
        assert (await metrics(admin)).total("remora_tasks_refused_total") == 1


async def test_ids_are_the_callers_alone() -> None:
    async with Slow() as server, stack(server.address, tasks=AFTER) as running:
        id = (await start(running, "x", token="ada")).result["taskId"]
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            assert (await send(running, method, token="bob", taskId=id, inputResponses={})).code == -32602
            answer = await send(running, method, {}, token="ada", taskId=id, inputResponses={})
            assert (answer.status, answer.error["data"]) == (400, MISSING)
        assert (await get(running, id, token="ada"))["status"] == "working"
        assert server.cancelled == []
        await server.answer(server.calls[0].response(b'{"content":[]}'))
        assert (await ended(running, id, token="ada"))["status"] == "completed"


@pytest.mark.parametrize("threads", [1, 2])
async def test_any_replica_answers(threads: int) -> None:
    async def tool(run: Running) -> None:
        await asyncio.sleep(0.6)
        await run.ask(1)
        await run.finish((await run.answer(1))["result"]["action"])

    async def at(address: str, method: str, **params: Any) -> Answer:
        from test_task_replicas import send as send_to
        return await send_to(address, method, ELICITS, **params)

    async with Asking(tool) as server, Replicas(server.address, threads=threads, tasks=AFTER) as replicas:
        first, *others = replicas.fronts.values()
        robin = itertools.cycle([*others, first])
        id = (await at(first, "tools/call", name="x", arguments={})).result["taskId"]
        async with asyncio.timeout(20):
            while (found := (await at(next(robin), "tasks/get", taskId=id)).result)["status"] == "working":
                await asyncio.sleep(0.05)
        key, = found["inputRequests"]
        assert (await at(others[0], "tasks/update", taskId=id, inputResponses={key: {"action": "decline"}})).status == 200
        async with asyncio.timeout(20):
            while (found := (await at(next(robin), "tasks/get", taskId=id)).result)["status"] not in ENDED:
                await asyncio.sleep(0.05)
        assert text(found["result"]) == "decline"
        lost = (await at(first, "tools/call", name="x", arguments={})).result["taskId"]
        await replicas.kill(replicas.names[0])
        found = (await at(others[0], "tasks/get", taskId=lost)).result
        assert found["status"] == "failed" and found["error"]["data"]["reason"] == "task_lost"
        await replicas.start(replicas.names[0])
