"""A legacy server that asks during its calls, on exact bytes, and counts each answer that it gets.

Its tools ask `times` questions (2 by default) in turn, in other words in each run if a call `varies`, and then answer with
what they were told. `plain` says nothing of
itself, `safe` that it may run twice. It lives in the test's own event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from typing import Any

from .raw import Exchange, RawBackend, notification

TOOLS = {
    "tools": [
        {"name": "plain", "inputSchema": {"type": "object"}},
        {"name": "safe", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": True}},
    ]
}


class CountingBackend(RawBackend):
    def __init__(self, **options: Any) -> None:
        super().__init__(self.dispatch, results={"tools/list": json.dumps(TOOLS).encode()}, **options)
        self.runs: Counter[str] = Counter()
        """How often a call ran, by its `token`."""
        self.finished: Counter[str] = Counter()
        self.answers: Counter[tuple[str | None, str]] = Counter()
        """How often each question was answered, by session and id."""
        self.told: Counter[tuple[str, str]] = Counter()
        """How often each run was told an answer, by token and the answer's text."""
        self.cancelled: Counter[str] = Counter()
        self.hold: asyncio.Event | None = None
        """What a call waits for when it has all answers."""
        self._waiting: dict[tuple[str | None, str], asyncio.Future[Any]] = {}
        self._ids: dict[str | None, Any] = {}
        self._calls: dict[tuple[str | None, Any], str] = {}

    async def dispatch(self, exchange: Exchange) -> bool:
        message = exchange.message
        if exchange.request.method == "GET":
            if exchange.session in self.sessions:
                await exchange.stream_head()
                with contextlib.suppress(asyncio.CancelledError):
                    while not exchange.writer.is_closing():
                        await asyncio.sleep(1)
            else:
                await exchange.reply(404)
        elif isinstance(message, dict) and "method" not in message:
            key = (exchange.session, json.dumps(message.get("id")))
            self.answers[key] += 1
            if (future := self._waiting.pop(key, None)) is not None and not future.done():
                future.set_result(message)
            await exchange.reply(202)
        elif exchange.method == "notifications/cancelled":
            if token := self._calls.get((exchange.session, message["params"]["requestId"])):
                self.cancelled[token] += 1
            await exchange.reply(202)
        elif exchange.method == "tools/call" and exchange.session in self.sessions:
            await self._run(exchange)
        else:
            return False
        return True

    async def _run(self, exchange: Exchange) -> None:
        arguments = exchange.message["params"]["arguments"]
        token = str(arguments["token"])
        self.runs[token] += 1
        self._calls[exchange.session, exchange.message["id"]] = token
        await exchange.stream_head()
        answers = []
        try:
            for number in range(1, arguments.get("times", 2) + 1):
                run = f" run {self.runs[token]}" if arguments.get("varies") else ""
                answer = await self.ask(exchange, f"{token} {number}{run}")
                answers.append(answer["result"]["content"]["answer"])
                self.told[token, answers[-1]] += 1
                if progress := exchange.message["params"].get("_meta", {}).get("progressToken"):
                    await self.event(exchange, notification("progress", progressToken=progress, progress=number))
            if self.hold is not None:
                await self.hold.wait()
            self.finished[token] += 1
            text = json.dumps({"content": [{"type": "text", "text": json.dumps(answers)}]}).encode()
            await self.event(exchange, exchange.response(text))
            await exchange.chunk(b"")
        except (ConnectionError, asyncio.CancelledError):
            pass

    async def ask(self, exchange: Exchange, what: str) -> Any:
        id = next(self._ids.setdefault(exchange.session, itertools.count()))
        question = {
            "jsonrpc": "2.0",
            "id": id,
            "method": "elicitation/create",
            "params": {"message": what, "requestedSchema": {"type": "object", "properties": {}}},
        }
        future = asyncio.get_running_loop().create_future()
        self._waiting[exchange.session, json.dumps(id)] = future
        await self.event(exchange, json.dumps(question).encode())
        return await future

    async def event(self, exchange: Exchange, message: bytes) -> None:
        await exchange.chunk(b"event: message\ndata: " + message + b"\n\n")


