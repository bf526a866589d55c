"""Tools that run as tasks (translation contract, section 11), on servers of either kind and on the published SDK."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from harness.listener import Listener
from harness.modern import Answer, Client, call, request
from harness.processes import SERVERS, Process, venv
from harness.stack import Stack, stack
from harness.ways import Stdio, Way
from servers.raw import Exchange, notification
from servers.task_ways import Task, TaskServer

TASKS = {"io.modelcontextprotocol/tasks": {}}
KNOWS = {"extensions": TASKS}
ANSWERS = KNOWS | {"elicitation": {"form": {}}, "sampling": {}}
WAYS = ["sdk", "docket"]
ENDED = ("completed", "failed", "cancelled")
MISSING = {"requiredCapabilities": {"extensions": TASKS}}


async def send(running: Stack, method: str, capabilities: Any = KNOWS, *, token: str | None = None, **params: Any) -> Answer:
    """Each on a connection of its own, as a client may."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with Client(running.front.address) as client:
        return await client.send(request(method, params, clientCapabilities=capabilities), **headers)


async def start(running: Stack, tool: str = "dig", capabilities: Any = KNOWS, token: str | None = None, **arguments: Any) -> Answer:
    return await send(running, "tools/call", capabilities, token=token, name=tool, arguments=arguments)


async def get(running: Stack, id: str, capabilities: Any = KNOWS, **options: Any) -> dict[str, Any]:
    answer = await send(running, "tasks/get", capabilities, taskId=id, **options)
    assert answer.status == 200, answer
    return answer.result


async def until(
    running: Stack, id: str, condition: Callable[[dict[str, Any]], bool], capabilities: Any = KNOWS, timeout: float = 20,
    **options: Any,
) -> dict[str, Any]:
    """The first state of a task for which a condition holds."""
    end = time.monotonic() + timeout
    while True:
        found = await get(running, id, capabilities, **options)
        if condition(found):
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)


async def ended(running: Stack, id: str, capabilities: Any = KNOWS, **options: Any) -> dict[str, Any]:
    return await until(running, id, lambda task: task["status"] in ENDED, capabilities, **options)


async def eventually(condition: Callable[[], bool], timeout: float = 20) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def text(result: dict[str, Any]) -> str:
    return result["content"][0]["text"]


# What a hand-written server does.


async def tool(task: Task) -> dict[str, Any]:
    """Runs for `seconds`, asks `questions` times, and then does what `how` says."""
    await asyncio.sleep(task.arguments.get("seconds", 0))
    said = [(await task.ask())["result"] for _ in range(task.arguments.get("questions", 0))]
    how = task.arguments.get("how", "text")
    if how == "error":
        return {"error": {"code": -32000, "message": "the shaft fell in"}}
    content = [{"type": "text", "text": json.dumps(said) if said else "done"}]
    return {"content": content, **({"isError": True} if how == "isError" else {})}


@pytest.fixture(params=WAYS)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[TaskServer]:
    async with TaskServer(tool, request.param) as it:
        yield it


@pytest.fixture
async def running(server: TaskServer) -> AsyncIterator[Stack]:
    async with stack(server.address, server={"era": "legacy"}) as it:
        yield it


async def test_the_extension_is_declared_and_execution_is_not_shown(running: Stack) -> None:
    found = (await send(running, "server/discover", {})).result["capabilities"]
    assert found["extensions"] == TASKS and "tasks" not in found
    tools = (await send(running, "tools/list", {})).result["tools"]
    assert {each["name"] for each in tools} == {"dig", "maybe", "never", "plain"}
    assert not any("execution" in each for each in tools)


async def test_a_task_from_its_creation_to_its_result(server: TaskServer, running: Stack) -> None:
    created = (await start(running, seconds=0.3)).result
    assert (created["resultType"], created["status"]) == ("task", "working")
    assert created["ttlMs"] == 3_600_000 and created["pollIntervalMs"] == 100
    first = await get(running, created["taskId"])
    assert (first["resultType"], first["status"], first["taskId"]) == ("complete", "working", created["taskId"])
    assert first["createdAt"] == created["createdAt"] and "result" not in first
    done = await ended(running, created["taskId"])
    assert done["status"] == "completed" and text(done["result"]) == "done"
    assert done["result"]["resultType"] == "complete"
    assert "io.modelcontextprotocol/related-task" not in done["result"].get("_meta", {})
    # What is known is not asked for again, and an end does not change.
    asked = server.methods["tasks/get"], server.methods["tasks/result"]
    assert await get(running, created["taskId"]) == done
    assert (server.methods["tasks/get"], server.methods["tasks/result"]) == asked
    assert server.runs == ["task-0"]
    sent = (await running.backend_messages("tools/call"))[0]["params"]
    assert sent["task"] == {"ttl": 3_600_000}


@pytest.mark.parametrize("how, status", [("isError", "completed"), ("error", "failed")])
async def test_failures(running: Stack, how: str, status: str) -> None:
    done = await ended(running, (await start(running, how=how)).result["taskId"])
    assert done["status"] == status
    if status == "failed":
        assert done["error"] == {"code": -32000, "message": "the shaft fell in"} and "result" not in done
    else:
        assert done["result"]["isError"] is True and "error" not in done


async def test_questions_of_a_task(server: TaskServer, running: Stack) -> None:
    id = (await start(running, capabilities=ANSWERS, questions=2)).result["taskId"]
    keys = []
    for name in ("Ada", "Bob"):
        asked = await until(running, id, lambda task: task["status"] == "input_required", ANSWERS)
        (key, question), = asked["inputRequests"].items()
        assert question["method"] == "elicitation/create" and "_meta" not in question["params"]
        assert (await get(running, id, ANSWERS))["inputRequests"] == asked["inputRequests"]
        keys.append(key)
        answers = {key: {"action": "accept", "content": {"name": name}}, "nobody": {"action": "accept"}}
        if len(keys) == 2:  # An answer to what was answered already.
            answers[keys[0]] = {"action": "decline"}
        updated = await send(running, "tasks/update", ANSWERS, taskId=id, inputResponses=answers)
        assert updated.result.keys() == {"resultType", "_meta"} and updated.result["resultType"] == "complete"
    assert len(set(keys)) == 2
    done = await ended(running, id, ANSWERS)
    assert [each["content"]["name"] for each in json.loads(text(done["result"]))] == ["Ada", "Bob"]
    assert [each["id"] for each in server.replies] == [0, 1]
    assert all(each["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"] == "task-0" for each in server.replies)
    # It has ended: nothing is open any more, and what comes is ignored.
    late = await send(running, "tasks/update", ANSWERS, taskId=id, inputResponses={keys[0]: {"action": "decline"}})
    assert late.result["resultType"] == "complete" and len(server.replies) == 2


async def test_a_server_that_uses_an_id_again_is_answered_again(server: TaskServer, running: Stack) -> None:
    """In the same words, too. The published Python SDK takes ids from the addresses of objects, which come again."""
    server.question_ids = itertools.repeat(7)
    id = (await start(running, capabilities=ANSWERS, questions=3)).result["taskId"]
    for name in ("Ada", "Bob", "Cid"):
        (key, _), = (await until(running, id, lambda task: task["status"] == "input_required", ANSWERS))["inputRequests"].items()
        await send(running, "tasks/update", ANSWERS, taskId=id,
                   inputResponses={key: {"action": "accept", "content": {"name": name}}})
    done = await ended(running, id, ANSWERS)
    assert [each["content"]["name"] for each in json.loads(text(done["result"]))] == ["Ada", "Bob", "Cid"]


async def test_questions_of_tasks_in_one_session_are_told_apart(server: TaskServer, running: Stack) -> None:
    async def asks(task: Task) -> dict[str, Any]:
        said = await task.ask(message=f"who is {task.arguments['key']}?")
        return {"content": [{"type": "text", "text": said["result"]["content"]["name"]}]}

    server.tool = asks
    ids = {name: (await start(running, capabilities=ANSWERS, key=name)).result["taskId"] for name in "abcdef"}
    for name, id in reversed(ids.items()):
        asked = await until(running, id, lambda task: task["status"] == "input_required", ANSWERS)
        (key, question), = asked["inputRequests"].items()
        assert question["params"]["message"] == f"who is {name}?"
        await send(running, "tasks/update", ANSWERS, taskId=id,
                   inputResponses={key: {"action": "accept", "content": {"name": name}}})
    for name, id in ids.items():
        assert text((await ended(running, id, ANSWERS))["result"]) == name
    assert len(server.issued) == 1


async def test_an_answer_of_the_wrong_shape_is_told(server: TaskServer, running: Stack) -> None:
    id = (await start(running, capabilities=ANSWERS, questions=1)).result["taskId"]
    asked = await until(running, id, lambda task: task["status"] == "input_required", ANSWERS)
    key, = asked["inputRequests"]
    for answers in ({key: {"action": "maybe"}}, [], 7):
        wrong = await send(running, "tasks/update", ANSWERS, taskId=id, inputResponses=answers)
        assert (wrong.status, wrong.code) == (200, -32602)
    assert (await send(running, "tasks/update", ANSWERS, taskId=id)).code == -32602
    shown = await send(running, "tasks/get", KNOWS, taskId=id)
    assert (shown.status, shown.code) == (400, -32021), "it did not declare elicitation this time"
    assert server.replies == [] and (await get(running, id, ANSWERS))["inputRequests"] == asked["inputRequests"]
    await send(running, "tasks/update", ANSWERS, taskId=id, inputResponses={key: {"action": "decline"}})
    assert json.loads(text((await ended(running, id, ANSWERS))["result"]))[0]["action"] == "decline"


async def test_a_client_that_cannot_be_asked(running: Stack) -> None:
    """The server hears so, as in any call."""
    id = (await start(running, questions=1)).result["taskId"]
    with pytest.raises(AssertionError):
        await until(running, id, lambda task: task["status"] in ENDED, timeout=1)
    await send(running, "tasks/cancel", taskId=id)
    assert (await get(running, id))["status"] == "cancelled"


async def test_cancellation(server: TaskServer, running: Stack) -> None:
    id = (await start(running, seconds=60)).result["taskId"]
    for _ in range(2):  # Also of what has ended.
        cancelled = await send(running, "tasks/cancel", taskId=id)
        assert cancelled.result.keys() == {"resultType", "_meta"}
    found = await get(running, id)
    assert found["status"] == "cancelled" and "result" not in found and "error" not in found
    assert server.methods["tasks/cancel"] == 1 and server.methods["notifications/cancelled"] == 0
    done = (await start(running)).result["taskId"]
    await ended(running, done)
    assert (await send(running, "tasks/cancel", taskId=done)).status == 200
    assert (await get(running, done))["status"] == "completed"


async def test_ids_of_others_forged_and_truncated_ones(server: TaskServer, running: Stack) -> None:
    created = (await start(running, token="ada", seconds=60)).result
    id = created["taskId"]
    forged = id[:-1] + ("A" if id[-1] != "A" else "B")
    for wrong, token in [(id, "bob"), (id, None), (forged, "ada"), (id[:-4], "ada"), ("", "ada"), ("task-0", "ada"),
                         ("é" * 40, "ada"), (id + "A", "ada")]:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            answer = await send(running, method, token=token, taskId=wrong, inputResponses={})
            assert (answer.status, answer.code) == (200, -32602), (wrong, answer)
    assert server.methods["tasks/get"] == server.methods["tasks/cancel"] == 0
    assert (await get(running, id, token="ada"))["status"] == "working"
    for wrong in (7, None, {}):
        async with Client(running.front.address) as client:
            answer = await client.send(request("tasks/get", {"taskId": wrong}, clientCapabilities=KNOWS))
        assert answer.code == -32602


async def test_the_header_names_the_task(running: Stack) -> None:
    id = (await start(running, seconds=60)).result["taskId"]
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        message = request(method, {"taskId": id, "inputResponses": {}}, clientCapabilities=KNOWS)
        async with Client(running.front.address) as client:
            for header in ({"Mcp_Name": "other"}, {"Mcp_Name": id[:-1]}):
                answer = await client.send(message, **header)
                assert (answer.status, answer.code) == (400, -32020)
    assert (await get(running, id))["status"] == "working"


async def test_a_client_that_does_not_declare_the_extension(running: Stack) -> None:
    id = (await start(running, seconds=60)).result["taskId"]
    for capabilities in ({}, {"tasks": {"list": {}}}, {"extensions": {"io.modelcontextprotocol/tasks": None}}):
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            answer = await send(running, method, capabilities, taskId=id, inputResponses={})
            assert (answer.status, answer.code, answer.error["data"]) == (400, -32021, MISSING)
    assert (await get(running, id))["status"] == "working"


async def test_methods_of_the_older_tasks_are_gone(running: Stack) -> None:
    for method in ("tasks/list", "tasks/result"):
        answer = await send(running, method, taskId="x")
        assert (answer.status, answer.code) == (404, -32601)


async def test_a_server_without_tasks_has_no_methods_for_them() -> None:
    async with TaskServer(tool, capabilities={"tools": {}}) as server, stack(server.address) as running:
        assert "extensions" not in (await send(running, "server/discover")).result["capabilities"]
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            for capabilities in (KNOWS, {}):
                answer = await send(running, method, capabilities, taskId="x", inputResponses={})
                assert (answer.status, answer.code) == (404, -32601)
        assert (await start(running, "plain")).text == "plain"


async def test_optional_and_forbidden_tools_are_called_as_any_other(server: TaskServer, running: Stack) -> None:
    for name in ("maybe", "never", "plain"):
        assert (await start(running, name)).text == "plain"
    assert server.tasks == {}


async def test_optional_tools_as_tasks(server: TaskServer) -> None:
    async with stack(server.address, tasks={"optional": "task"}) as running:
        created = (await start(running, "maybe")).result
        assert created["resultType"] == "task" and (await ended(running, created["taskId"]))["status"] == "completed"
        assert (await start(running, "maybe", {})).text == "plain", "a client without tasks"
        assert (await start(running, "never")).text == "plain"


# A client that knows no tasks.


async def driven(running: Stack, capabilities: Any, arguments: dict[str, Any], before: Answer | None = None) -> Answer:
    message = call("dig", arguments, clientCapabilities=capabilities)
    if before is not None:
        message["params"]["requestState"] = before.result["requestState"]
        message["params"]["inputResponses"] = {
            key: {"action": "accept", "content": {"name": "Ada"}} for key in before.result["inputRequests"]}
    async with Client(running.front.address) as client:
        return await client.send(message)


@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}], ids=["bare", "elicitation"])
async def test_the_plain_answer_of_a_tool_that_needs_tasks(server: TaskServer, running: Stack, capabilities: Any) -> None:
    done = await driven(running, capabilities, {"seconds": 0.3})
    assert (done.status, done.text, done.result["resultType"]) == (200, "done", "complete")
    assert "io.modelcontextprotocol/related-task" not in done.result.get("_meta", {})
    assert (await driven(running, capabilities, {"how": "isError"})).result["isError"] is True
    failed = await driven(running, capabilities, {"how": "error"})
    assert (failed.status, failed.error) == (200, {"code": -32000, "message": "the shaft fell in"})
    assert len(server.runs) == 3


async def test_a_plain_answer_with_questions_in_the_middle(server: TaskServer, running: Stack) -> None:
    answer = await driven(running, {"elicitation": {}}, {"questions": 2})
    for _ in range(2):
        assert answer.result["resultType"] == "input_required"
        answer = await driven(running, {"elicitation": {}}, {"questions": 2}, answer)
    assert [each["content"]["name"] for each in json.loads(answer.text)] == ["Ada", "Ada"]
    assert len(server.runs) == 1


async def test_past_its_limit_a_driven_task_is_cancelled(server: TaskServer) -> None:
    async with stack(server.address, limits={"request_timeout": "1s"}) as running:
        for capabilities in ({}, {"elicitation": {}}):
            late = await driven(running, capabilities, {"seconds": 60})
            assert (late.status, late.code, late.error["data"]) == (400, -32021, MISSING)
        await eventually(lambda: [each.status for each in server.tasks.values()] == ["cancelled"] * 2)
    assert server.methods["notifications/cancelled"] == 0


async def test_a_client_that_leaves_has_its_driven_task_cancelled(server: TaskServer, running: Stack) -> None:
    for capabilities in ({}, {"elicitation": {}}):
        before = len(server.tasks)
        leaving = asyncio.create_task(driven(running, capabilities, {"seconds": 60}))
        await eventually(lambda: len(server.tasks) > before)
        await asyncio.sleep(0.1)
        leaving.cancel()
        await eventually(lambda: list(server.tasks.values())[-1].status == "cancelled")


# Listeners.


def told(message: dict[str, Any]) -> dict[str, Any]:
    assert message["method"] == "notifications/tasks", message
    return {name: value for name, value in message["params"].items() if name != "_meta"}


async def test_a_listener_is_told_of_each_change(running: Stack) -> None:
    id = (await start(running, capabilities=ANSWERS, questions=1, seconds=0.3)).result["taskId"]
    other = (await start(running, seconds=60)).result["taskId"]
    async with Listener(running.front.address, capabilities=ANSWERS, taskIds=[id, "x", id]) as listener:
        assert listener.honoured == {"taskIds": [id]}
        asked = told(await listener.message())
        assert (asked["taskId"], asked["status"]) == (id, "input_required") and len(asked["inputRequests"]) == 1
        await asyncio.sleep(0.5)  # Nothing more comes of that.
        answers = {key: {"action": "accept", "content": {"name": "Ada"}} for key in asked["inputRequests"]}
        await send(running, "tasks/update", ANSWERS, taskId=id, inputResponses=answers)
        states = []
        while (done := told(await listener.message()))["status"] != "completed":
            states.append(done["status"])
        assert states in ([], ["working"])
        assert done["status"] == "completed" and "Ada" in text(done["result"])
        assert {name: value for name, value in (await get(running, id, ANSWERS)).items()
                if name not in ("_meta", "resultType")} == done
        await send(running, "tasks/cancel", taskId=other)
        await listener.silence(0.5)
    # Who comes later is told of the end once.
    async with Listener(running.front.address, capabilities=KNOWS, taskIds=[id, other], id=7) as listener:
        found = [told(await listener.message()) for _ in range(2)]
        assert {each["taskId"]: each["status"] for each in found} == {id: "completed", other: "cancelled"}
        await listener.silence(0.5)


async def test_a_listener_hears_what_the_server_tells(server: TaskServer, running: Stack) -> None:
    """Long before it would look again."""
    server.poll_interval = 60_000
    created = (await start(running, seconds=60)).result
    async with Listener(running.front.address, capabilities=KNOWS, taskIds=[created["taskId"]]) as listener:
        await asyncio.sleep(0.5)
        server.tasks["task-0"].change("working", "half way")
        await server.tell(notification("tasks/status", **server.tasks["task-0"].description()))
        assert told(await listener.message(5))["statusMessage"] == "half way"


async def test_who_may_listen_to_a_task(running: Stack) -> None:
    id = (await start(running, token="ada", seconds=60)).result["taskId"]
    refused = await send(running, "subscriptions/listen", {}, token="ada", notifications={"taskIds": [id]})
    assert (refused.status, refused.code, refused.error["data"]) == (400, -32021, MISSING)
    for wrong in ("x", [7], [""], ["y" * 9000], [str(n) for n in range(300)]):
        assert (await send(running, "subscriptions/listen", notifications={"taskIds": wrong})).code == -32602
    bob = {"Authorization": "Bearer bob"}
    async with Listener(running.front.address, capabilities=KNOWS, headers=bob, taskIds=[id, id[:-2]]) as listener:
        assert listener.honoured == {}


# What servers get wrong.


async def test_a_lost_session_is_a_failed_task(server: TaskServer, running: Stack) -> None:
    id = (await start(running, seconds=60)).result["taskId"]
    server.sessions.clear()
    found = await get(running, id)
    assert found["status"] == "failed" and found["error"]["data"]["reason"] == "session_lost"
    assert found["statusMessage"] == found["error"]["message"]
    assert (await get(running, id)) == found
    assert (await send(running, "tasks/cancel", taskId=id)).status == 200


async def test_a_server_that_forgets_its_task(server: TaskServer, running: Stack) -> None:
    id = (await start(running, seconds=60)).result["taskId"]
    server.forgets = True
    found = await get(running, id)
    assert found["status"] == "failed" and found["error"]["data"]["reason"] == "task_lost"


@pytest.mark.parametrize("lies", [{"taskId": "other"}, {"status": "lost"}, {"taskId": 7}, {"taskId": None}], ids=str)
async def test_an_answer_that_is_about_no_task_or_another(server: TaskServer, running: Stack, lies: dict[str, Any]) -> None:
    id = (await start(running, seconds=0.3)).result["taskId"]
    server.lies = lies
    answer = await send(running, "tasks/get", taskId=id)
    assert (answer.status, answer.code) == (200, -32603)
    server.lies = {}
    assert (await ended(running, id))["status"] == "completed"


async def test_clients_that_ask_without_end(server: TaskServer, running: Stack) -> None:
    """Requests that come together ask the server once."""
    id = (await start(running, seconds=60)).result["taskId"]
    found = await asyncio.gather(*(get(running, id) for _ in range(200)))
    assert {each["status"] for each in found} == {"working"}
    assert server.methods["tasks/get"] < 100


async def test_a_client_that_leaves_before_it_has_its_task(running: Stack, server: TaskServer) -> None:
    """Nobody has the name of the task: it is cancelled."""
    answered = asyncio.Event()
    behave = server.script

    async def slow(exchange: Exchange) -> bool:
        if exchange.method == "tools/call":
            await answered.wait()
        return await behave(exchange)

    server.script = slow
    leaving = asyncio.create_task(start(running, seconds=60))
    await server.until(lambda it: it.methods["tools/call"] == 1)
    leaving.cancel()
    await asyncio.sleep(0.2)
    answered.set()
    await eventually(lambda: [each.status for each in server.tasks.values()] == ["cancelled"])


async def test_an_end_is_not_taken_back(server: TaskServer, running: Stack) -> None:
    id = (await start(running)).result["taskId"]
    done = await ended(running, id)
    server.lies = {"status": "working"}
    await asyncio.sleep(0.1)
    assert await get(running, id) == done


@pytest.mark.parametrize("ttl", [0, -1, 10**18, None, "60", 1.5, {}], ids=str)
async def test_lifetimes_that_are_none(server: TaskServer, running: Stack, ttl: Any) -> None:
    server.lies = {"ttl": ttl, "pollInterval": ttl}
    created = (await start(running, seconds=60)).result
    assert created["ttlMs"] == 3_600_000 and created.get("pollIntervalMs", 1) > 0
    found = await get(running, created["taskId"])
    assert found["ttlMs"] == 3_600_000 and found["status"] == "working"


async def test_a_task_that_has_outlived_its_time(server: TaskServer) -> None:
    async with stack(server.address, tasks={"max_ttl": "1s"}) as running:
        created = (await start(running, capabilities=ANSWERS, questions=1, seconds=0.1)).result
        assert created["ttlMs"] == 1000
        await until(running, created["taskId"], lambda task: task["status"] == "input_required", ANSWERS)
        await eventually(lambda: server.tasks["task-0"].status == "cancelled")
        await asyncio.sleep(1)
        assert (await send(running, "tasks/get", ANSWERS, taskId=created["taskId"])).code == -32602


async def test_a_result_that_is_too_large(server: TaskServer) -> None:
    async def large(task: Task) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": "x" * (task.arguments["mib"] << 20)}]}

    server.tool = large
    async with stack(server.address, limits={"max_response": "2MiB"}, judge_back=False) as running:
        id = (await start(running, mib=3)).result["taskId"]
        found = await ended(running, id)
        assert found["status"] == "failed" and found["error"]["data"]["reason"] == "outcome_unknown"
        fits = await ended(running, (await start(running, mib=1)).result["taskId"])
        assert len(text(fits["result"])) == 1 << 20


async def test_more_tasks_than_there_may_be(server: TaskServer) -> None:
    async with stack(server.address, tasks={"max": 4, "max_per_principal": 2}) as running:
        ids = [(await start(running, token="ada", seconds=60)).result["taskId"] for _ in range(2)]
        full = await start(running, token="ada")
        assert (full.status, full.error["data"]) == (503, {"reason": "busy", "dispatched": False})
        assert len(server.runs) == 2
        await start(running, token="bob", seconds=60)
        # One whose end its client knows makes room.
        await send(running, "tasks/cancel", token="ada", taskId=ids[0])
        assert (await get(running, ids[0], token="ada"))["status"] == "cancelled"
        assert (await start(running, token="ada", seconds=60)).result["resultType"] == "task"
        gone = await get(running, ids[0], token="ada")
        assert gone["status"] == "failed" and gone["error"]["data"]["reason"] == "task_lost"


async def test_a_hundred_tasks_share_a_session(server: TaskServer, running: Stack) -> None:
    ids = [each.result["taskId"] for each in await asyncio.gather(*(start(running, key=str(n)) for n in range(100)))]
    assert len(set(ids)) == 100
    found = await asyncio.gather(*(ended(running, id) for id in ids))
    assert {each["status"] for each in found} == {"completed"} and sorted(server.runs) == sorted(map(str, range(100)))
    assert len(server.issued) == 1


# The published SDK.


@pytest.fixture(params=["http", "stdio"])
async def published(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Stack]:
    program = [venv("legacy-1.30.0"), str(SERVERS / "tasking.py")]
    if request.param == "stdio":
        record = tmp_path / "record"
        record.touch()
        async with stack(f"file:{record}", way=Stdio([*program, "--stdio"], tmp_path)) as running:
            yield running
        return
    async with await Process.start(*program) as process:
        async with stack((await process.event("listening", timeout=60))["address"]) as running:
            yield running
        await process.stop()


async def test_the_published_sdk_runs_tasks(published: Stack) -> None:
    assert (await send(published, "server/discover")).result["capabilities"]["extensions"] == TASKS
    created = (await start(published, key="k", seconds=0.2)).result
    assert (await get(published, created["taskId"]))["status"] == "working"
    done = await ended(published, created["taskId"])
    assert text(done["result"]) == "task dig k"
    grumbled = await ended(published, (await start(published, "grumble")).result["taskId"])
    assert (grumbled["status"], grumbled["result"]["isError"]) == ("completed", True)
    crashed = await ended(published, (await start(published, "crash")).result["taskId"])
    assert crashed["status"] == "failed" and "the shaft fell in" in crashed["error"]["message"]
    for name in ("maybe", "never", "silent"):
        assert (await start(published, name)).text == f"plain {name}"


async def test_the_published_sdk_asks_in_tasks(published: Stack) -> None:
    id = (await start(published, "ask", ANSWERS, questions=2)).result["taskId"]
    for name in ("Ada", "Bob"):
        asked = await until(published, id, lambda task: task["status"] == "input_required", ANSWERS)
        (key, question), = asked["inputRequests"].items()
        assert question["params"]["message"].startswith("question")
        await send(published, "tasks/update", ANSWERS, taskId=id,
                   inputResponses={key: {"action": "accept", "content": {"name": name}}})
    done = await ended(published, id, ANSWERS)
    assert [each["content"]["name"] for each in json.loads(text(done["result"]))] == ["Ada", "Bob"]
    sampled = (await start(published, "sample", ANSWERS)).result["taskId"]
    asked = await until(published, sampled, lambda task: task["status"] == "input_required", ANSWERS)
    key, = asked["inputRequests"]
    said = {"role": "assistant", "content": {"type": "text", "text": "hm"}, "model": "m"}
    await send(published, "tasks/update", ANSWERS, taskId=sampled, inputResponses={key: said})
    assert text((await ended(published, sampled, ANSWERS))["result"]) == "hm"


async def test_the_published_sdk_cancels_tasks(published: Stack) -> None:
    id = (await start(published, seconds=60)).result["taskId"]
    await send(published, "tasks/cancel", taskId=id)
    assert (await get(published, id))["status"] == "cancelled"


async def test_an_open_question_of_a_task_that_is_cancelled_is_not_answered(published: Stack) -> None:
    """The published SDK would go on with a task that it has cancelled, and lose its session by that, with every other task in it."""
    other = (await start(published, "dig", ANSWERS, seconds=4, key="other")).result["taskId"]
    asked = (await start(published, "ask", ANSWERS, seconds=0)).result["taskId"]
    await until(published, asked, lambda task: task["status"] == "input_required", ANSWERS)
    await send(published, "tasks/cancel", ANSWERS, taskId=asked)
    assert text((await ended(published, other, ANSWERS))["result"]) == "task dig other"
    assert text((await ended(published, (await start(published, key="next")).result["taskId"]))["result"]) == "task dig next"


async def test_the_published_sdk_answers_plainly(published: Stack) -> None:
    for capabilities in ({}, {"elicitation": {"form": {}}}):
        assert (await start(published, "dig", capabilities, key="p")).text == "task dig p"
        crashed = await start(published, "crash", capabilities)
        assert crashed.code == -32603 and "the shaft fell in" in crashed.error["message"]
    message = call("ask", {"questions": 1}, clientCapabilities={"elicitation": {"form": {}}})
    async with Client(published.front.address) as client:
        asked = await client.send(message)
        key, = asked.result["inputRequests"]
        message["params"] |= {
            "requestState": asked.result["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {"name": "Eve"}}}}
        done = await client.send(message)
    assert json.loads(done.text) == [{"action": "accept", "content": {"name": "Eve"}}]
