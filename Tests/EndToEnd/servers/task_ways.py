"""A legacy server whose tools run as tasks, as bytes, in the two ways that published servers have.

`sdk`: as the Python and TypeScript SDKs of 1.x. `tasks/result` waits for the end, and what the task asks comes on its stream alone.
`docket`: as FastMCP 2.14 to 3.x. `tasks/result` is refused before the end. What the task asks comes on the GET stream of the session, and
does not name the task: a notification before it does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from .raw import Exchange, PushBackend, event, notification

TIME = "2025-11-25T10:30:00Z"
RELATED = "io.modelcontextprotocol/related-task"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
SUPPORT = {"dig": "required", "maybe": "optional", "never": "forbidden", "plain": None}


class Cancelled(Exception):
    """Of a task, by its client."""


class Task:
    """One run of a tool."""

    def __init__(self, server: TaskServer, id: str, session: str | None, params: dict[str, Any]) -> None:
        self.server, self.id, self.session, self.params = server, id, session, params
        self.status = "working"
        self.message: str | None = None
        self.outcome: dict[str, Any] = {}
        self.queue: list[dict[str, Any]] = []
        """Questions that no stream has taken yet."""
        self.answers: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self.changed = asyncio.Event()
        self.ttl: Any = params.get("task", {}).get("ttl")
        self.runner: asyncio.Task[None] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        return self.params.get("arguments", {})

    def change(self, status: str, message: str | None = None) -> None:
        self.status = status
        self.message = message or self.message
        self.changed.set()

    def description(self) -> dict[str, Any]:
        told = {"taskId": self.id, "status": self.status, "createdAt": TIME, "lastUpdatedAt": TIME, "ttl": self.ttl}
        if self.server.poll_interval is not None:
            told["pollInterval"] = self.server.poll_interval
        if self.message:
            told["statusMessage"] = self.message
        return told | self.server.lies

    async def ask(self, method: str = "elicitation/create", **params: Any) -> dict[str, Any]:
        """The client's answer."""
        id = next(self.server.question_ids)
        about = {"message": "name?", "requestedSchema": SCHEMA} if method == "elicitation/create" else {}
        question = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**about, **params}}
        self.answers[id] = asyncio.get_running_loop().create_future()
        if self.server.way == "docket":
            await self.server.until(lambda _: self.session in self.server.streams)
            said = {**self.description(), "status": "input_required", "statusMessage": question["params"].get("message", "")}
            stream = self.server.streams[self.session]
            await stream.chunk(event(notification("tasks/status", **said)))
            await stream.chunk(event(json.dumps(question).encode()))
        else:
            question["params"]["_meta"] = {RELATED: {"taskId": self.id}}
            self.queue.append(question)
        self.change("input_required")
        answer = await self.answers[id]
        self.change("working")
        return answer


Tool = Callable[[Task], Awaitable[dict[str, Any]]]


class TaskServer(PushBackend):
    """Runs `tool` for each call that is made a task. What it returns is the result, or `{"error": …}`."""

    def __init__(self, tool: Tool, way: str = "sdk", **options: Any) -> None:
        tools = [
            {"name": name, "inputSchema": {"type": "object"}, **({"execution": {"taskSupport": support}} if support else {})}
            for name, support in SUPPORT.items()
        ]
        capabilities = {"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
        options.setdefault("capabilities", capabilities)
        results = {"tools/list": json.dumps({"tools": tools}).encode()}
        super().__init__(self._script, results=results, **options)
        self.tool, self.way = tool, way
        self.tasks: dict[str, Task] = {}
        self.question_ids = itertools.count()
        self.poll_interval: int | None = 100
        self.lies: dict[str, Any] = {}
        """What stands in each task in the place of the truth."""
        self.runs: list[str] = []
        self.replies: list[dict[str, Any]] = []
        self.forgets = False
        """Whether it knows no task any more."""

    async def _script(self, exchange: Exchange) -> bool:
        message = exchange.message
        if exchange.session not in self.sessions and exchange.method != "initialize":
            return False
        if isinstance(message, dict) and "method" not in message and "id" in message:
            self.replies.append(message)
            for task in self.tasks.values():
                if (waiting := task.answers.get(message["id"])) is not None and not waiting.done():
                    waiting.set_result(message)
            await exchange.reply(202)
            return True
        if exchange.method == "tools/call":
            await self._called(exchange)
        elif exchange.method in ("tasks/get", "tasks/result", "tasks/cancel"):
            task = None if self.forgets else self.tasks.get(message["params"].get("taskId"))
            if task is None or self.way == "sdk" and task.session != exchange.session:
                await exchange.json(exchange.error(-32602, "Task not found"))
            else:
                await getattr(self, "_" + exchange.method.removeprefix("tasks/"))(exchange, task)
        else:
            return False
        return True

    async def _called(self, exchange: Exchange) -> None:
        params = exchange.message["params"]
        support = SUPPORT.get(params["name"])
        if support == "required" and "task" not in params:
            return await exchange.json(exchange.error(-32601, "requires task augmentation"))
        if "task" not in params or support is None or support == "forbidden":
            self.runs.append("plain")
            return await exchange.json(exchange.response(b'{"content":[{"type":"text","text":"plain"}]}'))
        task = Task(self, f"task-{len(self.tasks)}", exchange.session, params)
        self.tasks[task.id] = task
        self.runs.append(str(task.arguments.get("key", task.id)))
        task.runner = asyncio.create_task(self._run(task))
        self._tasks.add(task.runner)
        await exchange.json(exchange.response(json.dumps({"task": task.description()}).encode()))

    async def _run(self, task: Task) -> None:
        try:
            outcome = await self.tool(task)
        except (Cancelled, asyncio.CancelledError):
            return
        task.outcome = outcome if "error" in outcome else {"result": outcome}
        failed = "error" in outcome or outcome.get("isError") is True
        task.change("failed" if failed else "completed")

    async def _get(self, exchange: Exchange, task: Task) -> None:
        await exchange.json(exchange.response(json.dumps(task.description()).encode()))

    async def _cancel(self, exchange: Exchange, task: Task) -> None:
        if task.status in ("completed", "failed", "cancelled"):
            return await exchange.json(exchange.error(-32602, f"already {task.status}"))
        assert task.runner is not None
        task.runner.cancel()
        task.outcome = {"error": {"code": -32603, "message": "cancelled"}}
        task.change("cancelled")
        await exchange.json(exchange.response(json.dumps(task.description()).encode()))

    async def _result(self, exchange: Exchange, task: Task) -> None:
        ended = ("completed", "failed", "cancelled")
        if self.way == "docket":
            if task.status not in ended:
                return await exchange.json(exchange.error(-32602, "Task not completed yet"))
            return await exchange.json(self._outcome(exchange, task))
        await exchange.stream_head()
        while True:
            while task.queue:
                await exchange.chunk(event(json.dumps(task.queue.pop(0)).encode()))
            if task.status in ended:
                break
            task.changed.clear()
            await task.changed.wait()
        await exchange.chunk(event(self._outcome(exchange, task)))
        await exchange.chunk(b"")

    def _outcome(self, exchange: Exchange, task: Task) -> bytes:
        outcome = json.loads(json.dumps(task.outcome))
        if "result" in outcome:
            outcome["result"].setdefault("_meta", {})[RELATED] = {"taskId": task.id}
        return json.dumps({"jsonrpc": "2.0", "id": exchange.message["id"], **outcome}).encode()

