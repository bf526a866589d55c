"""What becomes of calls that wait for their clients: each row of the table of events (translation contract, section 6)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness.http1 import Connection
from harness.modern import Answer, Client, encode, request
from harness.stack import Stack, stack
from harness.ways import Way
from servers.asking import PAGE, Asking, Running
from servers.raw import Exchange, notification

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}}
YES = {"action": "accept", "content": {"name": "Ada"}}
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m"}


async def send(
    running: Stack, *, before: Answer | None = None, answers: dict[str, Any] | None = None, state: str | None = None,
    name: str = "x", arguments: dict[str, Any] | None = None, capabilities: Any = None, id: Any = 1,
    method: str = "tools/call", principal: str | None = None, client: Client | None = None, **meta: Any,
) -> Answer:
    """A call, or with the answer before it (or just its state) a retry."""
    message = retry(before, answers, state, name, arguments, capabilities, id, method, **meta)
    options = {"Authorization": f"Bearer {principal}"} if principal else {}
    if client is not None:
        return await client.send(message, timeout=60, **options)
    async with Client(running.front.address) as own:
        return await own.send(message, timeout=60, **options)


def retry(
    before: Answer | None, answers: dict[str, Any] | None, state: str | None, name: str = "x",
    arguments: dict[str, Any] | None = None, capabilities: Any = None, id: Any = 1, method: str = "tools/call",
    **meta: Any,
) -> dict[str, Any]:
    chosen = EVERYTHING if capabilities is None else capabilities
    params = {"uri": name} if method == "resources/read" else {"name": name}
    if method != "resources/read":
        params["arguments"] = arguments or {}
    message = request(method, params, id=id, clientCapabilities=chosen, **meta)
    if before is not None:
        state = before.result["requestState"]
    if state is not None:
        message["params"] = {"inputResponses": answers or {}, "requestState": state, **message["params"]}
    return message


def keys(asked: Answer) -> list[str]:
    assert asked.result["resultType"] == "input_required", asked
    assert asked.result["inputRequests"], "never a result without questions"
    return sorted(asked.result["inputRequests"])


@asynccontextmanager
async def asking(tool: Callable[[Running], Awaitable[None]], options: dict[str, Any] | None = None, **changes: Any) -> Any:
    async with Asking(tool, **(options or {})) as asker, stack(asker.address, **changes) as running:
        yield asker, running
        assert not asker.failures, asker.failures


async def one_question(running: Running) -> None:
    await running.ask(0)
    answer = await running.answer(0)
    await running.finish(json.dumps(answer.get("result")))


# MARK: requestState


async def test_states_that_are_not_theirs_are_refused_alike() -> None:
    async with asking(one_question) as (server, running):
        asked = await send(running, principal="a", arguments={"to": 1})
        state = asked.result["requestState"]
        middle = len(state) // 2
        changed = state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]
        same: dict[str, Any] = {"principal": "a", "arguments": {"to": 1}, "state": state, "answers": {"elicitation-1": YES}}
        wrong: list[dict[str, Any]] = [
            {"state": changed},
            {"state": state[:-1]},
            {"state": ""},
            {"state": "v1." + "A" * 200},
            {"principal": "b"},
            {"arguments": {"to": 2}},
            {"arguments": {"to": 1.0}},
            {"name": "y"},
            {"method": "prompts/get"},
            {"capabilities": {}, "state": changed},
        ]
        texts = []
        for change in wrong:
            refused = await send(running, **{**same, **change})
            assert refused.status == 200 and refused.code == -32602, (change, refused)
            texts.append(json.dumps({**refused.json, "id": 0}))
        assert len(set(texts)) == 1, "whatever is wrong, the answer is the same"
        assert server.replies == [] and server.methods["tools/call"] == 1
        done = await send(running, **same)
        assert json.loads(done.text) == YES
        assert server.methods["tools/call"] == 1


async def test_a_state_that_is_no_string_is_refused_too() -> None:
    async with asking(one_question) as (server, running):
        message = retry(None, None, "x")
        message["params"]["requestState"] = {"a": 1}
        async with Client(running.front.address) as client:
            assert (await client.send(message)).code == -32602
        assert server.methods["tools/call"] == 0


async def test_a_state_of_another_process_is_refused() -> None:
    async with asking(one_question) as (server, running):
        state = (await send(running)).result["requestState"]
        async with stack(server.address) as other:
            assert (await send(other, state=state)).code == -32602


# MARK: Answers


async def test_missing_answers_are_asked_for_again() -> None:
    async def two(running: Running) -> None:
        await running.ask(0)
        await running.ask("0", "sampling/createMessage")
        first = await running.answer(0)
        second = await running.answer("0")
        await running.finish(json.dumps([first["result"], second["result"]]))

    async with asking(two) as (server, running):
        asked = await send(running)
        assert keys(asked) == ["elicitation-1", "sampling-2"]
        again = await send(running, before=asked, answers={"elicitation-1": YES, "unknown": 7})
        assert keys(again) == ["sampling-2"]
        assert again.result["requestState"] != asked.result["requestState"]
        assert [reply["id"] for _, reply in server.replies] == [0]
        # What was answered cannot be answered otherwise.
        done = await send(
            running, before=again, answers={"elicitation-1": {"action": "decline"}, "sampling-2": SAMPLED})
        assert json.loads(done.text) == [YES, SAMPLED]


async def test_wrong_answers_deliver_nothing_and_leave_the_call_parked() -> None:
    async def two(running: Running) -> None:
        await running.ask(0)
        await running.ask(1, "roots/list")
        await running.answer(0)
        await running.answer(1)
        await running.finish("done")

    async with asking(two) as (server, running):
        asked = await send(running)
        wrong = await send(running, before=asked, answers={"elicitation-1": YES, "roots-2": {"roots": [{"uri": 1}]}})
        assert (wrong.status, wrong.code) == (200, -32602) and "roots-2" in wrong.error["message"]
        wrong = await send(running, before=asked, answers=[YES])  # type: ignore[arg-type]
        assert wrong.code == -32602 and "inputResponses" in wrong.error["message"]
        assert server.replies == []
        done = await send(running, before=asked, answers={"elicitation-1": YES, "roots-2": {"roots": []}})
        assert done.text == "done"


async def test_answers_without_a_state_are_ignored() -> None:
    async with asking(one_question) as (server, running):
        message = retry(None, None, None)
        message["params"]["inputResponses"] = {"elicitation-1": YES}
        async with Client(running.front.address) as client:
            assert keys(await client.send(message)) == ["elicitation-1"]
        assert server.replies == []


async def test_two_retries_at_once_get_the_same_and_deliver_once() -> None:
    async def slow(running: Running) -> None:
        await running.ask(0)
        await running.answer(0)
        await asyncio.sleep(0.3)
        await running.finish("once")

    async with asking(slow) as (server, running):
        asked = await send(running)
        retries = [send(running, before=asked, answers={"elicitation-1": YES}, id=number) for number in range(5)]
        done = await asyncio.gather(*retries)
        assert [(each.json["id"], each.text) for each in done] == [(number, "once") for number in range(5)]
        # One that comes later still gets what came of it.
        late = await send(running, before=asked, answers={"elicitation-1": YES}, id="late")
        assert late.text == "once" and late.json["id"] == "late"
        assert len(server.replies) == 1 and server.methods["tools/call"] == 1


async def test_a_retry_without_a_capability_leaves_the_call_parked() -> None:
    async with asking(one_question) as (server, running):
        asked = await send(running)
        refused = await send(running, before=asked, answers={"elicitation-1": YES}, capabilities={"roots": {}})
        assert (refused.status, refused.code) == (400, -32021)
        assert refused.error["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}
        refused = await send(running, before=asked, answers={"elicitation-1": YES}, capabilities={})
        assert (refused.status, refused.code) == (400, -32021)
        assert json.loads((await send(running, before=asked, answers={"elicitation-1": YES})).text) == YES


# MARK: Questions that are not asked


@pytest.mark.parametrize("fails", ["error", "isError", "no"])
async def test_a_question_beyond_the_capabilities(fails: str) -> None:
    async def needy(running: Running) -> None:
        await running.ask(0, "sampling/createMessage")
        await running.ask(1, **PAGE)
        codes = [(await running.answer(id))["error"]["code"] for id in (0, 1)]
        assert codes == [-32601, -32602]
        if fails == "error":
            await running.finish(code=-32000, message="cannot")
        else:
            content = [{"type": "text", "text": "well"}]
            await running.finish({"content": content, "isError": fails == "isError"})

    async with asking(needy) as (_, running):
        answer = await send(running, capabilities={"elicitation": {"form": {}}})
        if fails == "no":
            assert answer.text == "well"
        else:
            assert (answer.status, answer.code) == (400, -32021)
            assert answer.error["data"] == {"requiredCapabilities": {"elicitation": {"url": {}}, "sampling": {}}}


async def test_the_capabilities_of_the_request_are_those_of_the_session() -> None:
    async def finish(running: Running) -> None:
        await running.finish("ok")

    async with asking(finish) as (server, running):
        for capabilities in ({}, {"roots": {"listChanged": True}}, EVERYTHING, {"elicitation": {}, "experimental": {"x": {}}}):
            assert (await send(running, capabilities=capabilities)).text == "ok"
        declared = [each["params"]["capabilities"] for each in await running.backend_messages("initialize")]
        assert declared == [{}, {"roots": {}}, EVERYTHING, {"elicitation": {}}]
        tokens = [each["params"].get("_meta", {}) for each in await running.backend_messages("tools/call")]
        assert [bool(each.get("progressToken")) for each in tokens] == [False, True, True, True]


class Incurious(Way):
    server = {"interactive": False}


async def test_servers_that_never_ask_are_told_of_nobody() -> None:
    async def curious(running: Running) -> None:
        await running.ask(0)
        await running.finish(str((await running.answer(0))["error"]["code"]))

    async with Asking(curious) as asker, stack(asker.address, way=Incurious()) as running:
        assert (await send(running)).text == "-32601"
        assert [each["params"]["capabilities"] for each in await running.backend_messages("initialize")] == [{}]


async def test_a_question_during_a_list_is_refused_and_that_session_serves_no_call() -> None:
    sessions = []

    async def remember(running: Running) -> None:
        sessions.append(running.exchange.session)
        await one_question(running)

    async with asking(remember) as (server, running):
        listing = server.other

        async def script(exchange: Exchange) -> bool:
            if exchange.method != "tools/list":
                return await listing(exchange)
            await exchange.sse(
                b'{"jsonrpc":"2.0","id":"during","method":"roots/list"}', exchange.response(b'{"tools":[]}'))
            return True

        server.other = script
        listed = request("tools/list", {}, clientCapabilities=EVERYTHING)
        async with Client(running.front.address) as client:
            assert (await client.send(listed)).result["tools"] == []
        await server.until(lambda server: server.replies)
        assert server.replies[0][1]["error"]["code"] == -32603, "as a client without a user"
        asked = await send(running)
        assert sessions != [server.replies[0][0]]
        assert json.loads((await send(running, before=asked, answers={"elicitation-1": YES})).text) == YES


# MARK: Where questions come


async def test_a_question_while_the_session_is_opened_is_asked_before_the_call_is_sent() -> None:
    async with asking(one_question) as (server, running):
        async def greedy(exchange: Exchange) -> None:
            await exchange.stream_head()
            await exchange.chunk(b'data: {"jsonrpc":"2.0","id":"hello","method":"roots/list"}\r\n\r\n')
            server.streams[exchange.session] = exchange
            while not exchange.writer.is_closing():
                await asyncio.sleep(0.02)

        server.push = greedy  # type: ignore[method-assign]
        # Something has to be found out before the call is sent: the tools.
        asked = await send(running)
        if keys(asked) == ["roots-1"]:
            assert server.methods["tools/call"] == 0
        asked = await send(running, before=asked, answers={"roots-1": {"roots": []}})
        assert keys(asked) == ["elicitation-2"]
        done = await send(running, before=asked, answers={"elicitation-2": YES})
        assert json.loads(done.text) == YES
        assert {reply["id"] for _, reply in server.replies} == {"hello", 0}
        assert server.methods["tools/call"] == 1


async def test_notifications_on_the_get_stream_go_to_the_call_that_has_the_session() -> None:
    async def chatty(running: Running) -> None:
        await running.tell("message", get=True, level="info", data="hello")
        await running.tell("progress", get=True, progressToken=running.token, progress=1)
        await asyncio.sleep(0.1)
        await running.finish("done")

    async with asking(chatty) as (_, running):
        answer = await send(running, logLevel="info")
        told = [json.loads(text) for text in answer.messages[:-1]]
        assert [each["method"] for each in told] == ["notifications/message"], "no progress was asked for"
        assert told[0]["params"]["data"] == "hello"


async def test_what_is_said_meanwhile_is_kept_for_the_retry() -> None:
    async def chatty(running: Running) -> None:
        await running.ask(0)
        await asyncio.sleep(0.3)
        for step in (1, 2):
            await running.tell("progress", progressToken=running.token, progress=step)
            await running.tell("message", level="info", data=step)
        await running.answer(0)
        await running.tell("progress", progressToken=running.token, progress=3)
        await running.finish("done")

    async with asking(chatty) as (_, running):
        asked = await send(running, logLevel="info")
        assert len(asked.messages) == 1
        await asyncio.sleep(0.6)
        message = retry(asked, {"elicitation-1": YES}, None, logLevel="info")
        message["params"]["_meta"]["progressToken"] = "mine"
        async with Client(running.front.address) as client:
            done = await client.send(message)
        told = [json.loads(text)["params"] for text in done.messages[:-1]]
        assert [each["progress"] for each in told if "progress" in each] == [2, 3]
        assert {each["progressToken"] for each in told if "progress" in each} == {"mine"}
        assert [each["data"] for each in told if "data" in each] == [1, 2]
        assert done.text == "done"


# MARK: The end of a call


async def test_a_question_that_is_taken_back_is_asked_no_more() -> None:
    async def fickle(running: Running) -> None:
        await running.ask(0)
        await running.ask(1, "roots/list")
        await asyncio.sleep(0.3)
        await running.tell("cancelled", requestId=0)
        assert (await running.answer(1))["result"] == {"roots": []}
        await running.finish("done")

    async with asking(fickle) as (server, running):
        asked = await send(running)
        assert keys(asked) == ["elicitation-1", "roots-2"]
        await asyncio.sleep(0.5)
        done = await send(running, before=asked, answers={"elicitation-1": YES, "roots-2": {"roots": []}})
        assert done.text == "done" and len(server.replies) == 1


async def test_a_response_that_comes_while_nobody_waits_is_kept() -> None:
    async def impatient(running: Running) -> None:
        await running.ask(0)
        await asyncio.sleep(0.2)
        await running.finish("anyway")

    async with asking(impatient) as (server, running):
        asked = await send(running)
        await asyncio.sleep(0.5)
        for id in ("a", "b"):
            done = await send(running, before=asked, answers={"elicitation-1": YES}, id=id)
            assert done.text == "anyway" and done.json["id"] == id
        # The question was open when the call ended.
        assert [reply["result"] for _, reply in server.replies] == [{"action": "cancel"}]


async def test_a_client_that_leaves_cancels_and_a_late_answer_is_dropped() -> None:
    sessions = []

    async def slow(running: Running) -> None:
        sessions.append(running.exchange.session)
        if len(sessions) > 1:
            return await running.finish("next")
        await running.tell("message", level="info", data="x")
        await running.cancelled()
        await running.finish(code=0, message="Request cancelled")

    async with asking(slow) as (server, running):
        connection = await Connection.open(running.front.address)
        await connection.send(encode(retry(None, None, None), host=running.front.address))
        await server.until(lambda server: sessions)
        connection.abort()
        await server.until(lambda server: server.cancelled)
        assert [type(id) for id in server.cancelled] == [int]
        await asyncio.sleep(0.2)
        assert (await send(running)).text == "next"
        assert sessions[0] == sessions[1], "a session that let go of its call serves the next"


async def test_a_retry_that_breaks_off_may_be_sent_again() -> None:
    async def slow(running: Running) -> None:
        await running.ask(0)
        await running.answer(0)
        await asyncio.sleep(1)
        await running.finish("done")

    async with asking(slow) as (server, running):
        asked = await send(running)
        connection = await Connection.open(running.front.address)
        await connection.send(encode(retry(asked, {"elicitation-1": YES}, None), host=running.front.address))
        await server.until(lambda server: server.replies)
        connection.abort()
        await asyncio.sleep(0.2)
        assert (await send(running, before=asked, answers={"elicitation-1": YES})).text == "done"
        assert server.cancelled == [] and len(server.replies) == 1


async def test_a_retry_that_breaks_off_for_good_cancels() -> None:
    async def endless(running: Running) -> None:
        await running.ask(0)
        await running.answer(0)
        await running.cancelled()
        await running.finish(code=0, message="Request cancelled")

    async with asking(endless) as (server, running):
        asked = await send(running)
        connection = await Connection.open(running.front.address)
        await connection.send(encode(retry(asked, {"elicitation-1": YES}, None), host=running.front.address))
        await server.until(lambda server: server.replies)
        connection.abort()
        start = time.monotonic()
        await server.until(lambda server: server.cancelled)
        assert 1.5 < time.monotonic() - start < 6
        lost = await send(running, before=asked, answers={"elicitation-1": YES})
        assert lost.result["isError"] and "interaction was lost" in lost.text


async def test_nobody_comes_back() -> None:
    """Cancelled first; what is open is answered a second later; a session that does not let go is deleted."""
    asked_for = ["elicitation/create", "sampling/createMessage", "roots/list"]
    times: list[float] = []

    async def deaf(running: Running) -> None:
        for id, method in enumerate(asked_for):
            await running.ask(id, method)
        await running.cancelled()
        times.append(time.monotonic())
        for id in range(3):
            await running.answer(id)
        times.append(time.monotonic())

    async with asking(deaf, interaction={"park_timeout": "1s"}) as (server, running):
        asked = await send(running)
        assert keys(asked) == ["elicitation-1", "roots-3", "sampling-2"]
        await server.until(lambda _: len(times) == 2)
        assert 0.7 < times[1] - times[0] < 3
        answers = [server.answers(server.replies[0][0])[id] for id in range(3)]
        assert answers[0]["result"] == {"action": "cancel"}
        assert [answer["error"]["code"] for answer in answers[1:]] == [-1, -32603]
        await server.until(lambda server: server.methods["DELETE"] == 1)
        assert (await send(running, before=asked)).code == -32602, "the state has expired"


async def test_a_prompt_that_was_given_up_runs_again() -> None:
    """As what may run twice does. Where no replica could go on with it, its state has no questions: it asks again, under a key that
    the retry did not name, since that may be sent once more."""
    runs: list[Running] = []

    async def asks(running: Running) -> None:
        runs.append(running)
        await running.ask(0)
        if len(runs) == 1:
            await running.cancelled()
            await running.finish(code=0, message="Request cancelled")
        else:
            assert (await running.answer(0))["result"] == YES
            await running.finish({"messages": []})

    async with asking(asks, interaction={"park_timeout": "2s"}) as (server, running):
        asked = await send(running, method="prompts/get", name="p")
        await server.until(lambda server: server.cancelled)
        await asyncio.sleep(0.1)
        again = await send(running, before=asked, answers={"elicitation-1": YES}, method="prompts/get", name="p")
        assert keys(again) == ["elicitation-2"]
        done = await send(running, before=again, answers={"elicitation-2": YES}, method="prompts/get", name="p")
        assert done.result["resultType"] == "complete" and done.result["messages"] == [] and len(runs) == 2


async def test_a_server_that_dies_while_a_call_is_parked() -> None:
    async def dies(running: Running) -> None:
        await running.ask(0)
        await asyncio.sleep(0.3)
        running.exchange.abort()

    async with asking(dies) as (server, running):
        asked = await send(running)
        await asyncio.sleep(0.6)
        lost = await send(running, before=asked, answers={"elicitation-1": YES})
        assert lost.result["isError"] and "interaction was lost" in lost.text
        assert server.methods["tools/call"] == 1


async def test_a_server_that_forgets_the_session_while_a_call_is_parked() -> None:
    async def parked(running: Running) -> None:
        await running.ask(0)
        await asyncio.sleep(30)

    async with asking(parked) as (server, running):
        asked = await send(running)
        server.sessions.clear()

        async def forgetful(exchange: Exchange) -> bool:
            if exchange.session in server.sessions or exchange.method == "initialize":
                return False
            await exchange.reply(404, exchange.error(-32600, "Session not found"))
            return True

        server.other = forgetful
        lost = await send(running, before=asked, answers={"elicitation-1": YES})
        assert lost.result["isError"] and "interaction was lost" in lost.text


# MARK: Pages


async def test_a_page_that_is_visited_while_the_client_waits() -> None:
    async def visit(running: Running) -> None:
        await running.ask(0, **PAGE)
        assert (await running.answer(0))["result"] == {"action": "accept"}
        await asyncio.sleep(0.5)
        await running.tell("elicitation/complete", get=True, elicitationId="page")
        await running.finish("visited")

    async with asking(visit) as (_, running):
        asked = await send(running)
        question = asked.result["inputRequests"]["elicitation-1"]
        assert question["params"] == {"mode": "url", "message": "visit", "url": "https://example.com/"}
        start = time.monotonic()
        done = await send(running, before=asked, answers={"elicitation-1": {"action": "accept"}})
        assert done.text == "visited" and time.monotonic() - start < 5


async def test_a_page_that_takes_long_is_asked_for_again() -> None:
    """After 25 s under another key, since a client that polls no stream learns of nothing otherwise; its answer goes nowhere."""
    visited = asyncio.Event()

    async def visit(running: Running) -> None:
        await running.ask(0, **PAGE)
        await running.answer(0)
        await visited.wait()
        await running.tell("elicitation/complete", get=True, elicitationId="page")
        await running.finish("visited")

    async with asking(visit) as (server, running):
        asked = await send(running)
        start = time.monotonic()
        reminded = await send(running, before=asked, answers={"elicitation-1": {"action": "accept"}})
        assert 24 < time.monotonic() - start < 35
        assert keys(reminded) == ["elicitation-2"]
        first, second = (each.result["inputRequests"] for each in (asked, reminded))
        assert first["elicitation-1"] == second["elicitation-2"]
        waiting = asyncio.create_task(
            send(running, before=reminded, answers={"elicitation-2": {"action": "accept"}}))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        visited.set()
        assert (await waiting).text == "visited"
        assert len(server.replies) == 1


async def test_a_client_in_a_browser_may_close_its_connection() -> None:
    async def visit(running: Running) -> None:
        await running.ask(0, **PAGE)
        await running.answer(0)
        await asyncio.sleep(3)
        await running.finish("visited")

    async with asking(visit) as (server, running):
        asked = await send(running)
        connection = await Connection.open(running.front.address)
        yes = {"elicitation-1": {"action": "accept"}}
        await connection.send(encode(retry(asked, yes, None), host=running.front.address))
        await server.until(lambda server: server.replies)
        connection.abort()
        await asyncio.sleep(2.5)
        assert server.cancelled == []
        assert (await send(running, before=asked, answers=yes)).text == "visited"


def pages(*names: str) -> dict[str, Any]:
    found = [{**PAGE, "url": f"https://example.com/{name}", "elicitationId": name} for name in names]
    return {"code": -32042, "message": "Visit first.", "data": {"elicitations": found}}


async def test_pages_to_visit_before_the_call_runs() -> None:
    runs = []

    async def gated(running: Running) -> None:
        runs.append(running.exchange.session)
        if len(runs) == 1:
            return await running.finish(**pages("one", "two"))
        await running.finish("in")

    async with asking(gated) as (server, running):
        asked = await send(running)
        assert keys(asked) == ["elicitation-1", "elicitation-2"]
        urls = [each["params"]["url"] for each in asked.result["inputRequests"].values()]
        assert urls == ["https://example.com/one", "https://example.com/two"]
        for name in ("one", "two"):
            await server.tell(notification("elicitation/complete", elicitationId=name))
        await asyncio.sleep(0.2)
        start = time.monotonic()
        accept = {"action": "accept"}
        done = await send(running, before=asked, answers={"elicitation-1": accept, "elicitation-2": accept})
        assert done.text == "in" and time.monotonic() - start < 5
        assert len(runs) == 2 and runs[0] == runs[1] and server.replies == []


async def test_pages_that_are_declined() -> None:
    async def gated(running: Running) -> None:
        await running.finish(**pages("one"))

    async with asking(gated) as (server, running):
        asked = await send(running)
        done = await send(running, before=asked, answers={"elicitation-1": {"action": "decline"}})
        assert done.result["isError"] and "not run" in done.text
        missing = await send(running, capabilities={"elicitation": {}})
        assert (missing.status, missing.code) == (400, -32021)
        assert missing.error["data"] == {"requiredCapabilities": {"elicitation": {"url": {}}}}
        asked = await send(running, method="prompts/get", name="p")
        done = await send(
            running, before=asked, answers={"elicitation-1": {"action": "cancel"}}, method="prompts/get", name="p")
        assert done.code == -32603


async def test_pages_whose_call_is_gone_begin_it_anew() -> None:
    """Nothing has run: there is nothing to lose."""

    async def gated(running: Running) -> None:
        await running.finish(**pages("one"))

    async with asking(gated, interaction={"park_timeout": "2s"}) as (server, running):
        asked = await send(running)
        await asyncio.sleep(2.2)
        again = await send(running, before=asked, answers={"elicitation-1": {"action": "accept"}})
        assert keys(again) == ["elicitation-2"] and server.methods["tools/call"] == 2


async def test_a_call_that_ran_after_its_client_was_asked_does_not_run_again() -> None:
    """What the client carries says that nothing had run when it was asked. The call has run since, and was given up."""
    runs = []

    async def gated(running: Running) -> None:
        runs.append(running.exchange.method)
        if len(runs) == 1:
            return await running.finish(**pages("one"))
        await running.cancelled()
        await running.finish(code=0, message="Request cancelled")

    accept = {"elicitation-1": {"action": "accept"}}
    async with asking(gated) as (server, running):
        asked = await send(running)
        await server.tell(notification("elicitation/complete", elicitationId="one"))
        await asyncio.sleep(0.2)
        connection = await Connection.open(running.front.address)
        await connection.send(encode(retry(asked, accept, None), host=running.front.address))
        await server.until(lambda server: server.methods["tools/call"] == 2)
        connection.abort()
        await server.until(lambda server: server.cancelled)
        await asyncio.sleep(0.5)
        lost = await send(running, before=asked, answers=accept)
        assert lost.result["isError"] and "interaction was lost" in lost.text
        assert len(runs) == 2


# MARK: Servers that cannot ask


async def test_a_server_without_sessions_fails_in_bounded_time() -> None:
    async def deaf(running: Running) -> None:
        await running.ask(0)
        await running.cancelled()

    async with asking(deaf, {"sessions": False}) as (server, running):
        server.sessions.add(None)  # type: ignore[arg-type]
        asked = await send(running)
        start = time.monotonic()
        failed = await send(running, before=asked, answers={"elicitation-1": YES})
        assert (failed.status, failed.code) == (200, -32603), failed
        assert 8 < time.monotonic() - start < 15


async def test_a_server_in_json_mode_fails_in_bounded_time() -> None:
    """Its question never leaves it, and it waits for ever."""

    async def deaf(running: Running) -> None:
        await running.cancelled()

    async with asking(deaf, limits={"backend_idle_timeout": "1s"}) as (server, running):
        start = time.monotonic()
        failed = await send(running)
        assert failed.error["data"]["reason"] == "idle_timeout" and time.monotonic() - start < 5
        await server.until(lambda server: server.methods["DELETE"] == 1)


async def test_silence_while_the_client_thinks_is_no_fault() -> None:
    async with asking(one_question, limits={"backend_idle_timeout": "1s", "request_timeout": "2s"}) as (_, running):
        asked = await send(running)
        await asyncio.sleep(2.5)
        assert json.loads((await send(running, before=asked, answers={"elicitation-1": YES})).text) == YES


# MARK: Limits


async def test_places_for_parked_calls() -> None:
    """A principal without a free place gets the one of its own call which waits for the longest, and none takes a place of one that has less."""

    async def polite(running: Running) -> None:
        await running.ask(0)
        answer = await running.answer(0)
        await running.finish(str(answer.get("error", answer.get("result"))))

    limits = {"max_parked": 3, "max_parked_per_principal": 2}
    async with asking(polite, interaction=limits) as (server, running):
        asked = [await send(running, principal="a") for _ in range(3)]
        assert [keys(each) for each in asked] == [["elicitation-1"]] * 3
        await server.until(lambda server: len(server.cancelled) == 1)
        lost = await send(running, principal="a", before=asked[0], answers={"elicitation-1": YES})
        assert lost.result["isError"] and "interaction was lost" in lost.text
        other = await send(running, principal="b")
        assert keys(other) == ["elicitation-1"]
        assert keys(await send(running, principal="c")) == ["elicitation-1"]
        await server.until(lambda server: len(server.cancelled) == 2)
        # One that is done makes room before, though its response is still kept.
        assert "accept" in (await send(running, principal="a", before=asked[2], answers={"elicitation-1": YES})).text
        assert keys(await send(running, principal="a")) == ["elicitation-1"]
        assert len(server.cancelled) == 2


async def test_questions_are_refused_when_every_place_is_waited_for() -> None:
    gate = asyncio.Event()

    async def slow(running: Running) -> None:
        await running.ask(0)
        answer = await running.answer(0)
        if "result" in answer:
            await gate.wait()
        await running.finish(str(answer.get("error", answer.get("result"))))

    async with asking(slow, interaction={"max_parked": 2, "max_parked_per_principal": 1}) as (server, running):
        asked = await send(running, principal="a")
        waiting = asyncio.create_task(send(running, principal="a", before=asked, answers={"elicitation-1": YES}))
        await server.until(lambda server: server.replies)
        full = await send(running, principal="a")
        assert "-32603" in full.text and "Too many questions" in full.text
        assert keys(await send(running, principal="b")) == ["elicitation-1"]
        gate.set()
        assert "accept" in (await waiting).text


async def test_so_many_may_wait_for_one_call() -> None:
    gate = asyncio.Event()

    async def slow(running: Running) -> None:
        await running.ask(0)
        await running.answer(0)
        await gate.wait()
        await running.finish("done")

    async with asking(slow) as (server, running):
        asked = await send(running)
        retries = [asyncio.create_task(send(running, before=asked, answers={"elicitation-1": YES})) for _ in range(70)]
        done, waiting = await asyncio.wait(retries, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 6:
            more, waiting = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            assert more, "no call is refused"
            done |= more
        refused = [each.result() for each in done]
        assert [(each.status, each.error["data"]["reason"]) for each in refused] == [(503, "busy")] * 6
        gate.set()
        assert [each.text for each in await asyncio.gather(*waiting)] == ["done"] * 64
        assert len(server.replies) == 1


async def test_sessions_that_are_waited_for_are_in_use() -> None:
    gate = asyncio.Event()

    async def slow(running: Running) -> None:
        await running.ask(0)
        await running.answer(0)
        await gate.wait()
        await running.finish("done")

    async with asking(slow, sessions={"max": 2, "max_per_principal": 2}) as (server, running):
        asked = [await send(running) for _ in range(2)]
        retries = [
            asyncio.create_task(send(running, before=each, answers={"elicitation-1": YES})) for each in asked]
        await server.until(lambda server: len(server.replies) == 2)
        busy = await send(running)
        assert (busy.status, busy.error["data"]["reason"]) == (503, "busy")
        waiting = asyncio.create_task(send(running))
        await asyncio.sleep(0.2)
        gate.set()
        assert keys(await waiting) == ["elicitation-1"]
        assert [(await each).text for each in retries] == ["done"] * 2


async def test_lists_do_not_wait_for_parked_calls() -> None:
    async with asking(one_question, sessions={"max": 1}) as (server, running):
        asked = await send(running)
        async with Client(running.front.address) as client:
            listed = await client.send(request("prompts/list", {}, clientCapabilities=EVERYTHING))
            assert listed.result["prompts"] == [{"name": "p"}]
        assert json.loads((await send(running, before=asked, answers={"elicitation-1": YES})).text) == YES
        assert server.methods["initialize"] == 1


async def test_many_principals_ask_at_once() -> None:
    """No question reaches another than it is for."""

    async def personal(running: Running) -> None:
        mine = running.exchange.request.header("authorization")
        for number in range(2):
            await running.ask(number, get=number == 1, message=f"{mine} {number}")
            said = (await running.answer(number))["result"]["content"]["name"]
            assert said == f"{mine} {number}", (said, mine)
        await running.finish(mine or "")

    async def person(running: Stack, name: str) -> None:
        answer = await send(running, principal=name)
        for _ in range(2):
            ((key, question),) = answer.result["inputRequests"].items()
            assert question["params"]["message"].startswith(f"Bearer {name} "), (name, question)
            said = {"action": "accept", "content": {"name": question["params"]["message"]}}
            answer = await send(running, before=answer, answers={key: said}, principal=name)
        assert answer.text == f"Bearer {name}"

    async with asking(personal, sessions={"max": 64}) as (_, running):
        await asyncio.gather(*(person(running, f"p{number}") for number in range(64)))


async def test_a_session_is_reused_by_calls_one_after_the_other() -> None:
    async def finish(running: Running) -> None:
        await running.finish("ok")

    async with asking(finish) as (server, running):
        for _ in range(5):
            assert (await send(running)).text == "ok"
        assert server.methods["initialize"] == 1 and server.methods["GET"] == 1


async def test_what_the_log_says() -> None:
    async with asking(one_question) as (_, running):
        asked = await send(running)
        await asyncio.sleep(0.3)
        await send(running, before=asked, answers={"elicitation-1": YES})
        await running.remora.process.line(lambda line: '"parked_ms"' in line and '"questions"' not in line)
        lines = [line for line in running.remora.process.events() if line["event"] == "request"]
        assert (lines[-2]["rounds"], lines[-2]["questions"]) == (1, 1)
        assert lines[-1]["rounds"] == 1 and lines[-1]["parked_ms"] >= 250 and "questions" not in lines[-1]
        assert asked.result["requestState"] not in "\n".join(running.remora.process.lines)


async def test_what_is_parked_at_a_stop_is_cancelled() -> None:
    async def deaf(running: Running) -> None:
        await running.ask(0)
        await running.cancelled()

    async with Asking(deaf) as server:
        async with stack(server.address, limits={"shutdown_timeout": "1s"}) as running:
            keys(await send(running))
        await server.until(lambda server: server.cancelled and server.methods["DELETE"] == 1)
