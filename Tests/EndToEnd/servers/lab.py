"""A legacy MCP server for the tests, on the published Python SDK (mcp 1.30.0, 1.12.4 and 1.9.4): Streamable HTTP with
sessions.

    lab.py [--json] [--port PORT] [--ledger FILE]

It listens on a port from the system, unless one is given, and prints {"event":"listening","address":"127.0.0.1:PORT"}.
The path is /mcp. Answers are event streams, or JSON documents with --json. `GET /record` tells what the server has been
asked for, and what became of its slow calls. The tool `book` writes to the ledger before it does anything else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import mcp.types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import McpError
from mcp.shared.message import ServerMessageMetadata
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXACT = {"z": 12345678901234567890123, "a": 1.0, "é": "\u00e9\u2028\U0001f41f", "m": {"b": 1, "a": 2}, "e": 1e-7}
"""What the tool `exact` answers. The SDK writes the JSON anew: raw.py is for exact bytes."""

PAGE = 10
"""Resources on one page."""

server: Server[Any, Any] = Server("lab", version="1.0", instructions="A server for tests.")
counters: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
kept: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""What each session was told by the tool `keep`."""

ends: Counter[str] = Counter()
"""What became of calls of `slow`: `started`, and then `finished` or `cancelled`."""

ledger: int | None = None
"""A descriptor to append to."""

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
        annotations=types.ToolAnnotations(readOnlyHint=True, idempotentHint=True),
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
        "Asks the client `questions` in turn (elicitation, sampling or roots; a list asks at once), and tells the answers.",
        questions={"type": "array"},
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
            ends["started"] += 1
            try:
                for step in range(1, steps + 1):
                    await anyio.sleep(arguments.get("seconds", 0.1) / steps)
                    await tell(step, steps, f"step {step}", logs=arguments.get("logs", False))
            except anyio.get_cancelled_exc_class():
                ends["cancelled"] += 1
                raise
            ends["finished"] += 1
            return text(f"done after {steps}")
        case "big":
            return text("x" * 1024 * arguments.get("kib", 1))
        case "fail":
            raise RuntimeError("it did not work")
        case "crash":
            raise RuntimeError("crashed")
        case "meta":
            meta = context.meta.model_dump(mode="json", exclude_none=True) if context.meta is not None else {}
            headers = dict(context.request.headers) if context.request is not None else {}
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
        await context.session.send_progress_notification(token, step, steps, what, request)
    if logs:
        await context.session.send_log_message("info", what, "lab", context.request_id)


# Questions.

answered: Counter[str] = Counter()
"""How often each question was answered, by the call's name and the question's number."""


async def ask(kind: str, *, get: bool, message: str = "?") -> Any:
    """Asks the client, on the stream of the request or on the GET stream, and returns its result."""
    context = server.request_context
    related = None if get else context.request_id
    metadata = ServerMessageMetadata(related_request_id=related) if related is not None else None
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
    answer = await context.session.send_request(types.ServerRequest(request), result, metadata=metadata)
    return answer.model_dump(mode="json", exclude_none=True, by_alias=True)


async def ask_in_turn(arguments: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    name = arguments.get("who", "")
    for number, kinds in enumerate(arguments.get("questions", ["elicitation"]), 1):
        several = kinds if isinstance(kinds, list) else [kinds]
        answers: dict[int, Any] = {}

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
        raise McpError(types.ErrorData(**{"code": -32000, "message": "an error of the server", **chosen}))
    if request.params.name == "gated":
        missing = pages_to_visit((request.params.arguments or {}).get("pages", 1))
        if missing:
            raise McpError(types.ErrorData(code=-32042, message="Visit first.", data={"elicitations": missing}))
        return types.ServerResult(types.CallToolResult(content=[types.TextContent(type="text", text="gated")]))
    return await _call_tool(request)


server.request_handlers[types.CallToolRequest] = call_tool_or_error


async def list_resources(request: types.ListResourcesRequest) -> types.ServerResult:
    start = int(request.params.cursor) if request.params and request.params.cursor else 0
    named = ["text", "blob", "missing", *(f"item/{number}" for number in range(22))]
    resources = [
        types.Resource(uri=f"lab:///{name}", name=name, mimeType="text/plain")  # type: ignore[arg-type]
        for name in named[start : start + PAGE]
    ]
    following = str(start + PAGE) if start + PAGE < len(named) else None
    return types.ServerResult(types.ListResourcesResult(resources=resources, nextCursor=following))


# Not every version's decorator hands over the cursor.
server.request_handlers[types.ListResourcesRequest] = list_resources


@server.list_resource_templates()
async def list_resource_templates() -> list[types.ResourceTemplate]:
    return [types.ResourceTemplate(uriTemplate="lab:///item/{number}", name="item", description="One item.")]


@server.read_resource()
async def read_resource(uri: Any) -> list[ReadResourceContents]:
    match str(uri).removeprefix("lab:///"):
        case "text":
            return [ReadResourceContents("Tëxt\n", "text/plain")]
        case "blob":
            return [ReadResourceContents(bytes(range(256)), "application/octet-stream")]
        case "asks":
            return [ReadResourceContents(json.dumps(await ask("elicitation", get=False)), "application/json")]
        case name if name.startswith("item/"):
            return [ReadResourceContents(name, "text/plain")]
    raise McpError(types.ErrorData(code=-32002, message="Resource not found", data={"uri": str(uri)}))


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
        raise McpError(types.ErrorData(code=-32602, message=f"Unknown prompt: {name}"))
    content = types.TextContent(type="text", text=f"Hello, {(arguments or {}).get('name', 'you')}!")
    message = types.PromptMessage(role="user", content=content)
    return types.GetPromptResult(description="A greeting.", messages=[message])


@server.completion()
async def complete(ref: Any, argument: types.CompletionArgument, context: Any = None) -> types.Completion:
    names = [name for name in ("Ada", "Alan", "Barbara", "Grace") if name.startswith(argument.value)]
    return types.Completion(values=names, total=len(names), hasMore=False)


class Recorder:
    """Counts what arrives, before the SDK sees it."""

    def __init__(self, app: ASGIApp, manager: StreamableHTTPSessionManager) -> None:
        self.app, self.manager = app, manager
        self.http: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.tools: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["path"] == "/record":
            # Some versions keep those that were deleted.
            sessions = sum(not each._terminated for each in self.manager._server_instances.values())
            counts = {"http": self.http, "methods": self.methods, "tools": self.tools, "ends": ends}
            record = {**counts, "sessions": sessions, "answered": answered}
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
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="answer with JSON documents")
    parser.add_argument("--port", type=int, default=0, help="listen here, and not on a port from the system")
    parser.add_argument("--ledger", help="the file that `book` appends to")
    options = parser.parse_args()
    if options.ledger:
        global ledger
        ledger = os.open(options.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    manager = StreamableHTTPSessionManager(app=server, json_response=options.json)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp":
            await manager.handle_request(scope, receive, send)
        elif scope["type"] == "http":
            await JSONResponse({"error": "not found"}, status_code=404)(scope, receive, send)

    # With the protocol named, asyncio turns Nagle's delay off; else each answer would wait 40 ms for an acknowledgment.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # The port of one that was killed.
    listener.bind(("127.0.0.1", options.port))
    listener.listen(2048)  # Before it is told of: uvicorn would do it later.
    address = "{}:{}".format(*listener.getsockname())
    config = uvicorn.Config(Recorder(app, manager), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    async with manager.run():
        print(json.dumps({"event": "listening", "address": address}), flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


anyio.run(main)
