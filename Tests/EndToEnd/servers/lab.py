"""A legacy MCP server for the tests, on the published Python SDK (mcp 1.30.0, 1.12.4, 1.9.4 and 1.2.1): Streamable HTTP
with sessions, HTTP+SSE, or stdio.

    lab.py [--json | --sse] [--events] [--port PORT] [--ledger FILE]
    lab.py --stdio [--record FILE] [--ledger FILE]

With --stdio it serves one session on its standard streams, and what `/record` would tell goes into a file, a line an
event, which several may share. Otherwise it listens on a port from the system, unless one is given, and prints {"event":"listening","address":"127.0.0.1:PORT"}.
The path is /mcp. Answers are event streams, or JSON documents with --json; with --events their events have ids, and streams
can be taken up. `GET /record` tells what the server has been
asked for, and what became of its slow calls. The tool `book` writes to the ledger before it does anything else.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import inspect
import io
import json
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import mcp.types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp.shared.exceptions import McpError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXACT = {"z": 12345678901234567890123, "a": 1.0, "é": "\u00e9\u2028\U0001f41f", "m": {"b": 1, "a": 2}, "e": 1e-7}
"""What the tool `exact` answers. The SDK writes the JSON anew: raw.py is for exact bytes."""

PAGE = 10 if hasattr(types, "ToolAnnotations") else 1000
"""Resources on one page. The oldest version loses the cursor of a request: there is one page."""

HAS_INSTRUCTIONS = "instructions" in inspect.signature(Server).parameters

server: Any = Server("lab", version="1.0", **({"instructions": "A server for tests."} if HAS_INSTRUCTIONS else {}))
counters: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
kept: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""What each session was told by the tool `keep`."""

ends: Counter[str] = Counter()
"""What became of calls of `slow`: `started`, and then `finished` or `cancelled`."""

recording: int | None = None
"""A descriptor to append events to."""


def note(kind: str, name: str, change: int = 1) -> None:
    """Something happened that `record` of the harness counts."""
    if kind == "ends":
        ends[name] += change
    if recording is not None:
        os.write(recording, json.dumps([kind, name, change]).encode() + b"\n")


ledger: int | None = None
"""A descriptor to append to."""

HAS_HINTS = hasattr(types, "ToolAnnotations")
"""Annotations of tools came with 2025-03-26."""

HAS_STRUCTURE = "structuredContent" in types.CallToolResult.model_fields
"""Titles, output schemas and structured results came with 2025-06-18."""


def tool(name: str, description: str, required: tuple[str, ...] = (), **properties: Any) -> types.Tool:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return types.Tool(name=name, description=description, inputSchema=schema)


TOOLS = [
    tool("echo", "Gives its text back.", ("text",), text={"type": "string"}),
    types.Tool(
        name="add",
        description="Adds two numbers.",
        inputSchema={
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
        **(
            {
                "title": "Addition",
                "outputSchema": {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]},
            }
            if HAS_STRUCTURE
            else {}
        ),
        **({"annotations": types.ToolAnnotations(readOnlyHint=True, idempotentHint=True)} if HAS_HINTS else {}),
    ),
    tool("exact", "Numbers and strings that are easily spoilt."),
    tool("counter", "Counts the calls of this session."),
    tool("keep", "Keeps a text for this session.", ("text",), text={"type": "string"}),
    tool("kept", "Gives back what this session keeps, also as progress and as a log message."),
    tool(
        "book",
        "Writes its id into the ledger, and then takes a while.",
        ("id",),
        id={"type": "string"},
        seconds={"type": "number"},
    ),
    tool(
        "slow",
        "Takes a while; tells progress and logs.",
        seconds={"type": "number"},
        steps={"type": "integer"},
        logs={"type": "boolean"},
    ),
    tool("big", "Answers much text.", kib={"type": "integer"}),
    tool("fail", "Fails as a tool does."),
    tool("crash", "Raises."),
    tool(
        "rpc_error",
        "Fails with a JSON-RPC error.",
        code={"type": "integer"},
        message={"type": "string"},
        data={},
    ),
    tool("meta", "Gives back the _meta that arrived, and the request's headers."),
    tool(
        "ask",
        "Asks the client `questions` in turn (elicitation, sampling or roots; a list asks at once), each after `seconds`, and "
        "tells the answers.",
        questions={"type": "array"},
        seconds={"type": "number"},
        get={"type": "boolean"},
        who={"type": "string"},
        logs={"type": "boolean"},
        fails={"type": "boolean"},
    ),
    tool("visit", "Has the user open a page, and then waits for `seconds` more.", seconds={"type": "number"}),
    tool("gated", "Fails with the pages (-32042) that the user has not been to yet.", pages={"type": "integer"}),
    tool("näme ünicode", "Has a name that does not fit into a header as it is."),
]


@server.list_tools()
async def list_tools() -> list[types.Tool]:
    own = kept.get(server.request_context.session)
    return TOOLS if own is None else [*TOOLS, tool(f"own-{own}", "Only this session has it.")]


@server.call_tool()
async def call_tool(name: str, arguments: dict[str, Any]) -> Any:
    context = server.request_context
    text = lambda value: [types.TextContent(type="text", text=value)]  # noqa: E731
    match name:
        case "echo":
            return text(arguments["text"])
        case "add":
            added = {"sum": arguments["a"] + arguments["b"]}
            return added if HAS_STRUCTURE else text(json.dumps(added))
        case "exact":
            return (text(json.dumps(EXACT)), EXACT) if HAS_STRUCTURE else text(json.dumps(EXACT))
        case "counter":
            counters[context.session] = counters.get(context.session, 0) + 1
            return text(str(counters[context.session]))
        case "keep":
            kept[context.session] = arguments["text"]
            await context.session.send_tool_list_changed()
            return text("kept")
        case "kept":
            own = kept.get(context.session, "nothing")
            await tell(1, 1, own, logs=True)
            return text(own)
        case "book":
            if ledger is not None:
                os.write(ledger, arguments["id"].encode() + b"\n")
            await anyio.sleep(arguments.get("seconds", 0))
            return text(arguments["id"])
        case "slow":
            steps = arguments.get("steps", 1)
            note("ends", "started")
            try:
                for step in range(1, steps + 1):
                    await anyio.sleep(arguments.get("seconds", 0.1) / steps)
                    await tell(step, steps, f"step {step}", logs=arguments.get("logs", False))
            except anyio.get_cancelled_exc_class():
                note("ends", "cancelled")
                raise
            note("ends", "finished")
            return text(f"done after {steps}")
        case "big":
            return text("x" * 1024 * arguments.get("kib", 1))
        case "fail":
            raise RuntimeError("it did not work")
        case "crash":
            raise RuntimeError("crashed")
        case "meta":
            meta = context.meta.model_dump(mode="json", exclude_none=True) if context.meta is not None else {}
            request = getattr(context, "request", None)
            headers = dict(request.headers) if request is not None else {}
            return text(json.dumps({"meta": meta, "headers": headers}))
        case "ask":
            return text(json.dumps(await ask_in_turn(arguments)))
        case "visit":
            return text(await visit(arguments.get("seconds", 0)))
        case "näme ünicode":
            return text("found")
    raise ValueError(f"Unknown tool: {name}")


async def tell(step: int, steps: int, what: str, *, logs: bool) -> None:
    """Progress, if it was asked for, and a log message."""
    context = server.request_context
    if context.meta is not None and context.meta.progressToken is not None:
        token, request = context.meta.progressToken, str(context.request_id)
        await context.session.send_progress_notification(*fitting(SEND_PROGRESS, token, step, steps, what, request))
    if logs:
        await context.session.send_log_message(*fitting(SEND_LOG, "info", what, "lab", context.request_id))


SEND_PROGRESS = inspect.signature(ServerSession.send_progress_notification)
SEND_LOG = inspect.signature(ServerSession.send_log_message)


def fitting(signature: inspect.Signature, *arguments: Any) -> tuple[Any, ...]:
    """As many of them as this version takes."""
    return arguments[: len(signature.parameters) - 1]


def failure(**error: Any) -> McpError:
    found = McpError(types.ErrorData(**error))
    found.error = types.ErrorData(**error)  # The oldest version's has nothing but its type.
    return found


# Questions.

HAS_METADATA = "metadata" in inspect.signature(ServerSession.send_request).parameters
"""The oldest version has one channel for everything, and need not say on which stream it asks."""

answered: Counter[str] = Counter()
"""How often each question was answered, by the call's name and the question's number."""


async def ask(kind: str, *, get: bool, message: str = "?") -> Any:
    """Asks the client, on the stream of the request or on the GET stream, and returns its result."""
    context = server.request_context
    options: dict[str, Any] = {}
    if not get and HAS_METADATA:
        from mcp.shared.message import ServerMessageMetadata

        options["metadata"] = ServerMessageMetadata(related_request_id=context.request_id)
    match kind:
        case "elicitation":
            schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
            params: Any = {"message": message, "requestedSchema": schema}
            request = types.ElicitRequest.model_validate({"method": "elicitation/create", "params": params})
            result: Any = types.ElicitResult
        case "sampling":
            content = {"role": "user", "content": {"type": "text", "text": message}}
            params = {"messages": [content], "maxTokens": 10, "includeContext": "none"}
            request = types.CreateMessageRequest.model_validate({"method": "sampling/createMessage", "params": params})
            result = types.CreateMessageResult
        case "roots":
            request, result = types.ListRootsRequest(method="roots/list"), types.ListRootsResult
        case _:
            raise ValueError(kind)
    answer = await context.session.send_request(types.ServerRequest(request), result, **options)
    return answer.model_dump(mode="json", exclude_none=True, by_alias=True)


async def ask_in_turn(arguments: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    name = arguments.get("who", "")
    for number, kinds in enumerate(arguments.get("questions", ["elicitation"]), 1):
        several = kinds if isinstance(kinds, list) else [kinds]
        answers: dict[int, Any] = {}
        await anyio.sleep(arguments.get("seconds", 0))

        async def one(place: int, kind: str) -> None:
            message = f"{name} {number}.{place}"
            try:
                answers[place] = await ask(kind, get=arguments.get("get", False), message=message)
                answered[message] += 1
            except McpError as error:
                answers[place] = {"error": error.error.code}

        async with anyio.create_task_group() as group:
            for place, kind in enumerate(several, 1):
                group.start_soon(one, place, kind)
        found += [answers[place] for place in sorted(answers)]
        await tell(number, len(arguments["questions"]), f"{name} {number}", logs=arguments.get("logs", False))
        if "fails" in arguments and any("error" in each for each in found):
            raise RuntimeError("the client did not answer")
    return found


visits: set[str] = set()
"""Pages that a user has been to."""


async def visit(seconds: float) -> str:
    context = server.request_context
    id = f"visit-{context.request_id}"
    answer = await context.session.elicit_url("Please sign in.", "https://example.com/" + id, id, context.request_id)
    if answer.action != "accept":
        return answer.action
    await anyio.sleep(seconds)
    await context.session.send_elicit_complete(id)
    return "visited"


def pages_to_visit(count: int) -> list[Any]:
    missing = [f"page-{number}" for number in range(count) if f"page-{number}" not in visits]
    visits.update(missing)  # As if the user went there at once.
    return [
        {"mode": "url", "message": f"Visit {page}.", "url": f"https://example.com/{page}", "elicitationId": page}
        for page in missing
    ]


# The SDK's decorator turns every exception of a tool into a result: a JSON-RPC error is answered before it.
_call_tool = server.request_handlers[types.CallToolRequest]


async def call_tool_or_error(request: types.CallToolRequest) -> types.ServerResult:
    if request.params.name == "rpc_error":
        chosen = request.params.arguments or {}
        raise failure(**{"code": -32000, "message": "an error of the server", **chosen})
    if request.params.name == "gated":
        missing = pages_to_visit((request.params.arguments or {}).get("pages", 1))
        if missing:
            raise failure(code=-32042, message="Visit first.", data={"elicitations": missing})
        return types.ServerResult(types.CallToolResult(content=[types.TextContent(type="text", text="gated")]))
    return await _call_tool(request)


server.request_handlers[types.CallToolRequest] = call_tool_or_error


async def list_resources(request: types.ListResourcesRequest) -> types.ServerResult:
    cursor = getattr(request.params, "cursor", None)
    start = int(cursor) if cursor else 0
    named = ["text", "blob", "missing", *(f"item/{number}" for number in range(22))]
    resources = [
        types.Resource(uri=f"lab:///{name}", name=name, mimeType="text/plain")  # type: ignore[arg-type]
        for name in named[start : start + PAGE]
    ]
    following = str(start + PAGE) if start + PAGE < len(named) else None
    return types.ServerResult(types.ListResourcesResult(resources=resources, nextCursor=following))


# Not every version's decorator hands over the cursor.
server.request_handlers[types.ListResourcesRequest] = list_resources


async def list_resource_templates(_: types.ListResourceTemplatesRequest) -> types.ServerResult:
    templates = [types.ResourceTemplate(uriTemplate="lab:///item/{number}", name="item", description="One item.")]
    return types.ServerResult(types.ListResourceTemplatesResult(resourceTemplates=templates))


# The oldest version has no decorator for it.
server.request_handlers[types.ListResourceTemplatesRequest] = list_resource_templates


async def read_resource(request: types.ReadResourceRequest) -> types.ServerResult:
    uri = request.params.uri
    contents: Any
    match str(uri).removeprefix("lab:///"):
        case "text":
            contents = types.TextResourceContents(uri=uri, text="Tëxt\n", mimeType="text/plain")
        case "blob":
            blob = base64.b64encode(bytes(range(256))).decode()
            contents = types.BlobResourceContents(uri=uri, blob=blob, mimeType="application/octet-stream")
        case "asks":
            text = json.dumps(await ask("elicitation", get=False))
            contents = types.TextResourceContents(uri=uri, text=text, mimeType="application/json")
        case name if name.startswith("item/"):
            contents = types.TextResourceContents(uri=uri, text=name, mimeType="text/plain")
        case _:
            raise failure(code=-32002, message="Resource not found", data={"uri": str(uri)})
    return types.ServerResult(types.ReadResourceResult(contents=[contents]))


# The oldest version's decorator spells base64 in another way.
server.request_handlers[types.ReadResourceRequest] = read_resource


@server.list_prompts()
async def list_prompts() -> list[types.Prompt]:
    arguments = [types.PromptArgument(name="name", description="Whom to greet", required=True)]
    return [types.Prompt(name="greet", description="A greeting.", arguments=arguments)]


@server.get_prompt()
async def get_prompt(name: str, arguments: dict[str, str] | None) -> types.GetPromptResult:
    if name == "ask":
        answer = json.dumps(await ask("elicitation", get=False))
        content = types.TextContent(type="text", text=answer)
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=content)])
    if name != "greet":
        raise failure(code=-32602, message=f"Unknown prompt: {name}")
    content = types.TextContent(type="text", text=f"Hello, {(arguments or {}).get('name', 'you')}!")
    message = types.PromptMessage(role="user", content=content)
    return types.GetPromptResult(description="A greeting.", messages=[message])


@server.completion()
async def complete(ref: Any, argument: types.CompletionArgument, context: Any = None) -> types.Completion:
    names = [name for name in ("Ada", "Alan", "Barbara", "Grace") if name.startswith(argument.value)]
    return types.Completion(values=names, total=len(names), hasMore=False)


class Recorder:
    """Counts what arrives, before the SDK sees it."""

    def __init__(self, app: ASGIApp, sessions: Callable[[], int]) -> None:
        self.app, self.sessions = app, sessions
        self.http: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["path"] == "/record":
            counts = {"http": self.http, "methods": self.methods, "tools": self.tools, "ends": ends}
            record = {**counts, "sessions": self.sessions(), "answered": answered}
            return await JSONResponse(record)(scope, receive, send)
        self.http[scope["method"]] += 1
        body = b""
        more = scope["method"] == "POST"
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part["type"] == "http.request" and part.get("more_body", False)
        self._count(body)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, replay, send)

    def _count(self, body: bytes) -> None:
        with contextlib.suppress(ValueError, AttributeError):
            message = json.loads(body)
            method = message.get("method", "response")
            self.methods[method] += 1
            if method == "tools/call":
                self.tools[message["params"]["name"]] += 1


async def main() -> None:
    global ledger, recording
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="answer with JSON documents")
    parser.add_argument("--sse", action="store_true", help="speak HTTP+SSE")
    parser.add_argument("--events", action="store_true", help="keep events, so that streams can be taken up")
    parser.add_argument("--stdio", action="store_true", help="serve one session on the standard streams")
    parser.add_argument("--port", type=int, default=0, help="listen here, and not on a port from the system")
    parser.add_argument("--record", help="the file that events are appended to")
    parser.add_argument("--ledger", help="the file that `book` appends to")
    options = parser.parse_args()
    if options.ledger:
        ledger = os.open(options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if options.record:
        recording = os.open(options.record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if options.stdio:
        return await on_stdio()
    async with contextlib.AsyncExitStack() as running:
        app, sessions = (
            over_sse() if options.sse else await over_streamable_http(options.json, options.events, running)
        )
        # With the protocol named, asyncio turns Nagle's delay off; else each answer would wait 40 ms for an
        # acknowledgment.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # The port of one that was killed.
        listener.bind(("127.0.0.1", options.port))
        listener.listen(2048)  # Before it is told of: uvicorn would do it later.
        address = "{}:{}".format(*listener.getsockname())
        config = uvicorn.Config(
            Recorder(app, sessions), log_level="warning", lifespan="off", timeout_graceful_shutdown=1
        )
        print(json.dumps({"event": "listening", "address": address}), flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await JSONResponse({"error": "not found"}, status_code=404)(scope, receive, send)


def event_store() -> Any:
    """All events, in memory: an id is the number of an event."""
    from mcp.server.streamable_http import EventMessage, EventStore

    class Events(EventStore):
        def __init__(self) -> None:
            self.events: list[tuple[str, Any]] = []

        async def store_event(self, stream_id: str, message: Any) -> str:
            self.events.append((stream_id, message))
            return str(len(self.events))

        async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
            start = int(last_event_id)
            if not 0 < start <= len(self.events):
                return None
            stream = self.events[start - 1][0]
            for number, (of, message) in enumerate(self.events[start:], start + 1):
                # One without a message only says its id.
                if of == stream and message is not None:
                    await send_callback(EventMessage(message, str(number)))
            return stream

    return Events()


async def over_streamable_http(
    prefers_json: bool, keeps_events: bool, running: contextlib.AsyncExitStack
) -> tuple[ASGIApp, Callable[[], int]]:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    store = event_store() if keeps_events else None
    manager = StreamableHTTPSessionManager(app=server, json_response=prefers_json, event_store=store)
    await running.enter_async_context(manager.run())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            await manager.handle_request(scope, receive, send)
        else:
            await not_found(scope, receive, send)

    def sessions() -> int:
        # Some versions keep those that were deleted.
        return sum(not each._terminated for each in manager._server_instances.values())

    return app, sessions


def over_sse() -> tuple[ASGIApp, Callable[[], int]]:
    from mcp.server.sse import SseServerTransport

    transport = SseServerTransport("/messages/")
    streams: set[object] = set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/mcp"):
            stream = object()
            streams.add(stream)

            async def watched() -> Message:
                # The oldest version lives on when its stream has ended.
                if (message := await receive())["type"] == "http.disconnect":
                    streams.discard(stream)
                return message

            async with transport.connect_sse(scope, watched, send) as (incoming, outgoing):
                await server.run(incoming, outgoing, server.create_initialization_options())
        elif scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/messages/"):
            await transport.handle_post_message(scope, receive, send)
        else:
            await not_found(scope, receive, send)

    return app, lambda: len(streams)


async def on_stdio() -> None:
    from mcp.server.stdio import stdio_server

    class Lines:
        """Standard input, of which the methods are noted."""

        def __init__(self) -> None:
            self._lines = anyio.wrap_file(io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8"))

        async def __aiter__(self) -> AsyncIterator[str]:
            async for line in self._lines:
                with contextlib.suppress(ValueError, AttributeError):
                    message = json.loads(line)
                    note("methods", message.get("method", "response"))
                    if message.get("method") == "tools/call":
                        note("tools", message["params"]["name"])
                yield line

    note("sessions", "", 1)
    try:
        async with stdio_server(stdin=Lines()) as (incoming, outgoing):  # type: ignore[arg-type]
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        note("sessions", "", -1)


anyio.run(main)
