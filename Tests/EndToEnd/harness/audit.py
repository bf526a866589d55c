"""Judges what Remora said in a recording: its HTTP, its headers, and every JSON-RPC message.

Only Remora's side is judged. What the test's client or the backend sends may be as wrong as a test wants it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from . import http1, schema
from .recording import Recording

PREFIX = "io.modelcontextprotocol/"
_STATUS_OF_CODE = {-32700: 400, -32020: 400, -32021: 400, -32022: 400}
"""Status that a code always comes with, in an answer that is not a stream (translation contract, section 1)."""


class Object(dict[str, Any]):
    """A JSON object that remembers which of its members were given more than once."""

    repeated: tuple[str, ...] = ()


def loads(text: str | bytes) -> Any:
    """JSON without the constants that only Python knows, in `Object`s."""

    def members(pairs: list[tuple[str, Any]]) -> Object:
        found = Object(pairs)
        if len(found) < len(pairs):
            found.repeated = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, object_pairs_hook=members, parse_constant=constant)


def duplicates(message: Any) -> list[str]:
    """Members given twice where Remora answers for them: not inside what it only passes on."""
    outer = [message, *(message.get(name) for name in ("params", "result", "error"))]
    places = outer + [each.get("_meta") for each in outer if isinstance(each, dict)]
    return [f"duplicate members: {each.repeated}" for each in places if isinstance(each, Object) and each.repeated]


def same(a: Any, b: Any) -> bool:
    """Equal in value and in JSON type: 1 is neither 1.0 nor true."""
    return type(a) is type(b) and a == b


@dataclass
class Exchange:
    """A request and its response as one tap saw them. A side that could not be read, or did not come, is None."""

    connection: int
    request: http1.Message | None
    response: http1.Message | None
    request_error: str | None = None
    response_error: str | None = None
    unfinished: http1.Message | None = None
    """What came of a response that was cut off."""

    @property
    def message(self) -> Any:
        """The JSON of the request; None when it is none."""
        return _json_or_none(self.request.body) if self.request is not None else None

    @property
    def endpoint(self) -> str | None:
        """Where the messages of a session of 2024-11-05 are posted, if this response is its stream."""
        response = self.response or self.unfinished
        if response is None or response.media_type != "text/event-stream":
            return None
        named = [event.data for event in http1.events(response.body) if event.name == "endpoint"]
        return named[0] if named else None

    @property
    def messages(self) -> list[Any]:
        """The JSON-RPC messages of the response, also of one that was cut off after them."""
        response = self.response or self.unfinished
        if response is None:
            return []
        if response.media_type == "text/event-stream":
            return [loads(event.data) for event in http1.events(response.body) if event.data and event.name != "endpoint"]
        message = _json_or_none(response.body)
        return [] if message is None else [message]


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def exchanges(recording: Recording) -> list[Exchange]:
    """Pairs the requests and responses of one connection, in order, up to the first that cannot be read."""
    requests, request_error, _ = await _read(bytes(recording.client), http1.read_request)
    methods = iter([request.method for request in requests])
    responses, response_error, unfinished = await _read(
        bytes(recording.server), lambda reader: http1.read_response(reader, next(methods, "POST"))
    )
    found = []
    for index in range(max(len(requests), len(responses))):
        found.append(
            Exchange(
                recording.number,
                requests[index] if index < len(requests) else None,
                responses[index] if index < len(responses) else None,
            )
        )
    if request_error or response_error:
        if not found:
            found.append(Exchange(recording.number, None, None))
        found[-1].request_error, found[-1].response_error = request_error, response_error
        found[min(len(responses), len(found) - 1)].unfinished = unfinished
    return found


async def _read(data: bytes, read: Any) -> tuple[list[http1.Message], str | None, http1.Message | None]:
    """The whole messages, why there are no more, and what came of the last if it was cut off."""
    reader = asyncio.StreamReader(limit=http1.HEAD_LIMIT)
    reader.feed_data(data)
    reader.feed_eof()
    found: list[http1.Message] = []
    try:
        while (message := await read(reader)) is not None:
            found.append(message)
    except http1.Truncated as error:
        return found, f"Truncated: {error}", error.message
    except http1.Malformed as error:
        return found, f"Malformed: {error}", None
    return found, None, None


@dataclass
class Audit:
    """What was wrong, in words, with where it was."""

    violations: list[str] = field(default_factory=list)
    checked: int = 0
    """How many JSON-RPC messages were looked at."""

    def add(self, where: str, *problems: str) -> None:
        self.violations += [f"{where}: {problem}" for problem in problems]

    def raise_if_any(self) -> None:
        if self.violations:
            raise AssertionError("Remora sent what it must not:\n  " + "\n  ".join(self.violations[:20]))


async def front(recordings: list[Recording]) -> Audit:
    """What Remora sent to modern clients."""
    audit = Audit()
    for recording in recordings:
        for exchange in await exchanges(recording):
            _front_exchange(audit, exchange)
    return audit


def _front_exchange(audit: Audit, exchange: Exchange) -> None:
    request, response = exchange.request, exchange.response
    message = exchange.message
    method = message.get("method") if isinstance(message, dict) else None
    where = f"to the client, connection {exchange.connection}, {method or (request and request.start)}"
    if exchange.response_error and not exchange.response_error.startswith("Truncated"):
        audit.add(where, exchange.response_error)
    if response is None:
        return
    try:
        _front_headers(audit, where, response)
        if not response.body or (request is not None and request.target.startswith("/.well-known/")):
            return  # A document about authorization is no message.
        if response.media_type == "application/json":
            texts = [response.body.decode()]
        elif response.media_type == "text/event-stream":
            texts = _front_stream(audit, where, response)
        else:
            audit.add(where, f"a body of type {response.media_type!r}")
            return
    except (http1.Malformed, UnicodeDecodeError) as error:
        audit.add(where, str(error))
        return
    for index, text in enumerate(texts):
        _front_message(audit, f"{where}, message {index + 1}", text, exchange, last=index == len(texts) - 1)


def _front_headers(audit: Audit, where: str, response: http1.Message) -> None:
    for name in ("mcp-session-id", "last-event-id", "set-cookie"):
        if response.header(name) is not None:
            audit.add(where, f"header {name} reaches the client")
    if response.status == 405 and not response.header("allow"):
        audit.add(where, "405 without `Allow`")


def _front_stream(audit: Audit, where: str, response: http1.Message) -> list[str]:
    if response.header("x-accel-buffering") != "no":
        audit.add(where, "event stream without `X-Accel-Buffering: no`")
    found = http1.events(response.body)
    for event in found:
        if event.id is not None or event.retry is not None:
            audit.add(where, "event stream with `id:` or `retry:`")
    return [event.data for event in found]


def _front_message(audit: Audit, where: str, text: str, exchange: Exchange, *, last: bool) -> None:
    audit.checked += 1
    try:
        message = loads(text)
    except ValueError as error:
        audit.add(where, f"not JSON: {error}")
        return
    if not isinstance(message, dict):
        audit.add(where, "not a JSON object")
        return
    audit.add(where, *duplicates(message))
    if "method" in message:
        if last or "id" in message:
            audit.add(where, "a stream ends with the response, and carries no request")
        audit.add(where, *schema.server_notification_errors(message))
        return
    if not last:
        audit.add(where, "something follows the response")
    asked = exchange.message if isinstance(exchange.message, dict) else {}
    method = asked.get("method") if isinstance(asked.get("method"), str) else None
    audit.add(where, *schema.response_errors(method, message))
    if "result" in message and not same(message.get("id"), asked.get("id")):
        audit.add(where, f"id {message.get('id')!r} answers {asked.get('id')!r}")
    if "error" in message:
        _front_error(audit, where, message, asked, exchange)
    elif isinstance(message.get("result"), dict):
        _front_result(audit, where, message["result"])


def _front_error(audit: Audit, where: str, message: Any, asked: Any, exchange: Exchange) -> None:
    assert exchange.response is not None
    valid_id = isinstance(asked.get("id"), (str, int)) and not isinstance(asked.get("id"), bool)
    if "id" in message and valid_id and not same(message["id"], asked["id"]):
        audit.add(where, f"id {message['id']!r} answers {asked['id']!r}")
    error = message["error"] if isinstance(message["error"], dict) else {}
    if not error.get("message"):
        audit.add(where, "an error without a message")
    code = error.get("code")
    wanted = _STATUS_OF_CODE.get(code)
    if wanted and exchange.response.status != wanted and exchange.response.media_type == "application/json":
        audit.add(where, f"code {code} with status {exchange.response.status}")
    if exchange.response.status >= 400 and exchange.response.status < 500 and "result" in message:
        audit.add(where, f"a result with status {exchange.response.status}")
    if code in (-32042, -32002):
        audit.add(where, f"code {code} belongs to a legacy revision")


def _front_result(audit: Audit, where: str, result: Any) -> None:
    meta = result.get("_meta")
    if not isinstance(meta, dict) or PREFIX + "serverInfo" not in meta:
        audit.add(where, "result without serverInfo in _meta")
    elif PREFIX + "related-task" in meta:
        audit.add(where, "related-task of a legacy revision reaches the client")
    if result.get("resultType") == "input_required" and not result.get("inputRequests"):
        audit.add(where, "input_required without inputRequests")


@dataclass
class _Session:
    revision: str
    has_tasks: bool = False
    ids: set[Any] = field(default_factory=set)


async def back(recordings: list[Recording], host: str) -> Audit:
    """What Remora sent to a legacy backend that it knows under `host` (address and port)."""
    audit = Audit()
    sessions: dict[str | None, _Session] = {}
    found = [exchange for recording in recordings for exchange in await exchanges(recording)]
    # Sessions are learnt first: the connections of one session overlap, and so do their recordings.
    for exchange in found:
        _learn(sessions, exchange)
    for exchange in found:
        if exchange.request_error and not exchange.request_error.startswith("Truncated"):
            audit.add(f"to the backend, connection {exchange.connection}", exchange.request_error)
        if exchange.request is not None:
            try:
                _back_request(audit, exchange, exchange.request, sessions, host)
            except http1.Malformed as error:
                audit.add(f"to the backend, connection {exchange.connection}", str(error))
    return audit


def _learn(sessions: dict[str | None, _Session], exchange: Exchange) -> None:
    message = exchange.message
    response = exchange.response or exchange.unfinished
    if response is None:
        return
    try:
        session = exchange.endpoint or response.header("mcp-session-id")
        if not exchange.endpoint and (not isinstance(message, dict) or message.get("method") != "initialize"):
            return
        results = [each["result"] for each in exchange.messages if "result" in each]
    except (ValueError, TypeError, KeyError, http1.Malformed):
        return
    if results and results[0].get("protocolVersion") in schema.LEGACY:
        sessions[session] = _Session(results[0]["protocolVersion"], _has_tasks(results[0]))


def _has_tasks(handshake: dict[str, Any]) -> bool:
    """Whether a call of a tool can be made a task."""
    at: Any = handshake.get("capabilities")
    for name in ("tasks", "requests", "tools", "call"):
        at = at.get(name) if isinstance(at, dict) else None
    return at is not None


def _back_request(
    audit: Audit, exchange: Exchange, request: http1.Message, sessions: dict[str | None, _Session], host: str
) -> None:
    message = exchange.message
    method = message.get("method") if isinstance(message, dict) else None
    where = f"to the backend, connection {exchange.connection}, {request.method} {method or ''}".rstrip()
    session_id = request.header("mcp-session-id")
    session = sessions.get(session_id)
    if request.header("host") != host:
        audit.add(where, f"Host is {request.header('host')!r}, the backend's is {host!r}")
    if method == "server/discover":
        # The one modern request that a legacy server may get, in a session in which it has taken the newest revision.
        if session is not None and session.revision != "2025-11-25":
            audit.add(where, f"a server of {session.revision} is asked for its era")
        return
    for name in ("origin", "mcp-method", "mcp-name"):
        if request.header(name) is not None:
            audit.add(where, f"header {name} reaches the backend")
    if request.target in sessions:  # Of 2024-11-05, whose session is a place.
        session_id, session = request.target, sessions[request.target]
    if method == "initialize":
        if session_id is not None and session_id != request.target:
            audit.add(where, "initialize inside a session")
    elif session is None and not (request.method == "GET" and exchange.endpoint):
        audit.add(where, f"no such session: {session_id!r}")
    elif session is None:
        pass
    else:
        version = request.header("mcp-protocol-version")
        if session.revision >= "2025-06-18" and version != session.revision:
            audit.add(where, f"MCP-Protocol-Version is {version!r}, negotiated is {session.revision}")
    if request.method == "POST":
        _back_post(audit, where, request, session)
    elif request.method == "GET":
        if "text/event-stream" not in (request.header("accept") or ""):
            audit.add(where, "GET does not accept an event stream")
    elif request.method != "DELETE":
        audit.add(where, f"method {request.method}")


def _back_post(audit: Audit, where: str, request: http1.Message, session: _Session | None) -> None:
    if request.media_type != "application/json":
        audit.add(where, f"Content-Type {request.media_type!r}")
    accepted = {part.split(";")[0].strip() for part in (request.header("accept") or "").split(",")}
    if not {"application/json", "text/event-stream"} <= accepted:
        audit.add(where, f"Accept {sorted(accepted)}")
    _back_message(audit, where, request.body, session)


def _back_message(audit: Audit, where: str, text: str | bytes, session: _Session | None) -> None:
    audit.checked += 1
    try:
        message = loads(text)
    except ValueError as error:
        audit.add(where, f"not JSON: {error}")
        return
    if not isinstance(message, dict):
        audit.add(where, "not a JSON object")
        return
    audit.add(where, *duplicates(message))
    audit.add(where, *schema.client_message_errors(session.revision if session else schema.LEGACY[0], message))
    if "method" in message:
        _back_params(audit, where, message, session)
    if "method" in message and "id" in message and session is not None:
        if type(message["id"]) is not int or message["id"] < 1:
            audit.add(where, f"request id {message['id']!r} is not a positive integer")
        if message["id"] in session.ids:
            audit.add(where, f"request id {message['id']!r} is used twice in a session")
        session.ids.add(message["id"])


def pipe(lines: list[dict[str, Any]]) -> Audit:
    """What Remora wrote to the standard input of legacy servers, as servers/stdio_tap.py saw it."""
    audit = Audit()
    sessions: dict[int, _Session] = {}
    for entry in lines:
        if entry["side"] == "server":
            with contextlib.suppress(ValueError, KeyError, TypeError):
                result = json.loads(entry["text"])["result"]
                if result.get("protocolVersion") in schema.LEGACY and "serverInfo" in result:
                    sessions[entry["session"]] = _Session(result["protocolVersion"], _has_tasks(result))
    for entry in lines:
        if entry["side"] == "client":
            _pipe_line(audit, entry["text"], f"to process {entry['session']}", sessions.get(entry["session"]))
    return audit


def _pipe_line(audit: Audit, text: str, where: str, session: _Session | None) -> None:
    if not text.endswith("\n") or "\r" in text:
        audit.add(where, "not one line")
    _back_message(audit, where, text, session)


def _back_params(audit: Audit, where: str, message: Any, session: _Session | None) -> None:
    params = message.get("params", {})
    has_tasks = session is not None and session.has_tasks
    # Remora's own, in calls that it makes tasks.
    may_be_task = has_tasks and message["method"] == "tools/call" and list(params.get("task", {})) == ["ttl"]
    if message["method"].startswith("tasks/") and not has_tasks:
        audit.add(where, "a server without tasks is asked for one")
    for name in ("inputResponses", "requestState", "task"):
        if name in params and not (name == "task" and may_be_task):
            audit.add(where, f"params.{name} reaches the backend")
    for name in params.get("_meta", {}):
        if name.startswith(PREFIX):
            audit.add(where, f"_meta member {name} reaches the backend")
