"""A legacy server that asks during its calls, on exact bytes, and counts each answer that it gets.

Its tools ask `times` questions (2 by default) in turn, in other words in each run if a call `varies`, and then answer with
what they were told. `plain` says nothing of
itself, `safe` that it may run twice. It lives in the test's own event loop.

With `events` its events have ids, and a stream whose client is gone is taken up by `Last-Event-ID`, or not: `empty` gives a
stream that ends at once, `refuse` 400, and `other` the GET stream of the session, as servers do that know no ids.
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


class Stream:
    """The events of a call, for a client that takes them up."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        self.name, self.to = name, exchange
        self.events: list[bytes] = []
        self.is_over = False

    async def send(self, event: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self.to.chunk(event)

    async def add(self, message: bytes) -> None:
        self.events.append(b"id: %s/%d\ndata: %s\n\n" % (self.name.encode(), len(self.events), message))
        await self.send(self.events[-1])


class CountingBackend(RawBackend):
    def __init__(self, *, events: str | None = None, **options: Any) -> None:
        self.events = events
        self.streams: dict[str, Stream] = {}
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
        last = exchange.request.header("last-event-id")
        if exchange.request.method == "GET" and last is not None and self.events not in (None, "other"):
            await self._take_up(exchange, last)
        elif exchange.request.method == "GET":
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
        if self.events is not None:
            stream = self.streams[token] = Stream(exchange, token)
            # A client has an id to go on behind before there is anything to lose.
            await stream.add(b"")
        answers = []
        try:
            for number in range(1, arguments.get("times", 2) + 1):
                run = f" run {self.runs[token]}" if arguments.get("varies") else ""
                answer = await self.ask(exchange, f"{token} {number}{run}")
                if "content" not in answer.get("result", {}):
                    return  # The client gave up.
                answers.append(answer["result"]["content"]["answer"])
                self.told[token, answers[-1]] += 1
                if progress := exchange.message["params"].get("_meta", {}).get("progressToken"):
                    await self.event(exchange, notification("progress", progressToken=progress, progress=number))
            if self.hold is not None:
                await self.hold.wait()
            self.finished[token] += 1
            text = json.dumps({"content": [{"type": "text", "text": json.dumps(answers)}]}).encode()
            await self.event(exchange, exchange.response(text))
            if self.events is not None:
                self.streams[token].is_over = True
                exchange = self.streams[token].to
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

    async def initialize(self, exchange: Exchange) -> None:
        """With a cookie, by which a balancer would find the copy that has the session."""
        plain = exchange.json

        async def with_cookie(message: bytes, **headers: str) -> None:
            await plain(message, Set_Cookie="copy=1; Path=/; HttpOnly", **headers)

        exchange.json = with_cookie  # type: ignore[method-assign]
        await super().initialize(exchange)

    async def _take_up(self, exchange: Exchange, last: str) -> None:
        if self.events == "refuse":
            return await exchange.reply(400)
        if exchange.request.header("cookie") != "copy=1":
            return await exchange.reply(404)
        await exchange.stream_head()
        name, _, number = last.rpartition("/")
        if self.events == "empty" or name not in self.streams:
            return await exchange.chunk(b"")
        stream = self.streams[name]
        stream.to = exchange
        for event in stream.events[int(number) + 1 :]:
            await stream.send(event)
        while not stream.is_over and not exchange.writer.is_closing():
            await asyncio.sleep(0.05)

    async def event(self, exchange: Exchange, message: bytes) -> None:
        if self.events is not None:
            token = self._calls[exchange.session, exchange.message["id"]]
            return await self.streams[token].add(message)
        await exchange.chunk(b"event: message\ndata: " + message + b"\n\n")


