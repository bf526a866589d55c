"""A legacy server that asks during its calls, as a test wants it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from harness import http1
from harness.audit import loads

from .raw import Exchange, PushBackend, event

FORM: dict[str, Any] = {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}}
PAGE: dict[str, Any] = {"mode": "url", "message": "visit", "url": "https://example.com/", "elicitationId": "page"}
SAMPLE: dict[str, Any] = {"messages": [], "maxTokens": 1}
ASKING = {"elicitation/create": FORM, "sampling/createMessage": SAMPLE, "roots/list": {}}


class Running:
    """One call, as the server sees it."""

    def __init__(self, server: Asking, exchange: Exchange) -> None:
        self.server, self.exchange = server, exchange
        self.params: dict[str, Any] = exchange.message["params"]
        self.has_begun = False

    @property
    def arguments(self) -> dict[str, Any]:
        return self.params.get("arguments", {})

    @property
    def token(self) -> Any:
        return self.params.get("_meta", {}).get("progressToken")

    async def send(self, message: dict[str, Any], *, get: bool = False, id: str | None = None) -> None:
        """A message, on the stream of the call or on the GET stream of its session."""
        text = event(json.dumps({"jsonrpc": "2.0", **message}).encode(), id)
        if get:
            await self.server.until(lambda _: self.exchange.session in self.server.streams)
            return await self.server.streams[self.exchange.session].chunk(text)
        if not self.has_begun:
            self.has_begun = True
            await self.exchange.stream_head()
        await self.exchange.chunk(text)

    async def ask(self, id: Any, method: str = "elicitation/create", *, get: bool = False, **params: Any) -> None:
        about = {} if "mode" in params else ASKING[method]
        self.server.forget(self.exchange.session, id)
        await self.send({"id": id, "method": method, "params": {**about, **params}}, get=get)

    async def answer(self, id: Any) -> dict[str, Any]:
        """What the client said to the question."""
        await self.server.until(lambda server: id in server.answers(self.exchange.session), timeout=60)
        return self.server.answers(self.exchange.session)[id]

    async def tell(self, method: str, *, get: bool = False, **params: Any) -> None:
        await self.send({"method": f"notifications/{method}", "params": params}, get=get)

    async def finish(self, result: Any = None, **error: Any) -> None:
        """The response: a text of a tool, another result, or an error."""
        if isinstance(result, str):
            result = {"content": [{"type": "text", "text": result}]}
        outcome = {"error": error} if error else {"result": result}
        await self.send({"id": self.exchange.message["id"], **outcome})
        await self.exchange.chunk(b"")

    async def cancelled(self) -> None:
        await self.server.until(lambda server: self.exchange.message["id"] in server.cancelled, timeout=60)


class Asking(PushBackend):
    """Runs `tool` for each call of a tool, prompt or resource. It is run in the connection's own task."""

    def __init__(self, tool: Callable[[Running], Awaitable[None]], **options: Any) -> None:
        super().__init__(self._script, promises=False, **options)
        self.tool = tool
        self.replies: list[tuple[str | None, dict[str, Any]]] = []
        """The answers to questions, with their sessions, in the order in which they came."""
        self.cancelled: list[Any] = []
        """The ids of calls that were cancelled."""
        self.failures: list[BaseException] = []

    def answers(self, session: str | None) -> dict[Any, dict[str, Any]]:
        return {reply["id"]: reply for of, reply in self.replies if of == session}

    def forget(self, session: str | None, id: Any) -> None:
        """The answer to an earlier question with this id."""
        self.replies = [(of, reply) for of, reply in self.replies if (of, reply["id"]) != (session, id)]

    async def _script(self, exchange: Exchange) -> bool:
        message = exchange.message
        if isinstance(message, dict) and "method" not in message and "id" in message:
            self.replies.append((exchange.session, loads(exchange.request.body)))
            await exchange.reply(202, type=None)
            return await self._changed()
        if exchange.method == "notifications/cancelled":
            self.cancelled.append(message["params"]["requestId"])
            await exchange.reply(202, type=None)
            return await self._changed()
        if exchange.method in ("tools/call", "prompts/get", "resources/read"):
            try:
                await self.tool(Running(self, exchange))
            except (ConnectionError, asyncio.CancelledError):
                raise
            except BaseException as failure:
                self.failures.append(failure)
                raise
            return True
        return False

    async def _changed(self) -> bool:
        async with self.changed:
            self.changed.notify_all()
        return True


TIMEOUT = http1.TIMEOUT
