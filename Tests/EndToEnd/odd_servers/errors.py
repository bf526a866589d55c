"""Errors of servers in their own words, and tools that ask clients that cannot be asked.

2026-07-28 wants other codes than the older revisions had (basic/index, "Error Codes"), so most rows say what is wanted.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp

from harness.odd import ALL, HTTP, OddServer, Peer, Running, Script, outcome

MISSING = "raw:///missing"
READ = "resources/read"


def brief(found: Any) -> Any:
    """The code and the data of an error; the texts of a result."""
    if "error" in found:
        code, _, data = found["error"]
        return [code, data]
    return [each["text"] for each in found.get("content", [])]


# MARK: Codes


def fails(method: str, error: dict[str, Any]) -> Any:
    """A server that answers a method with this error, as it is."""

    def script(_: Running) -> Script:
        async def answer(peer: Peer) -> bool:
            if peer.method != method or peer.id is None:
                return False
            await peer.say(json.dumps({"jsonrpc": "2.0", "id": peer.id, "error": error}))
            return True

        return answer

    return script


async def read(client: mcp.Client) -> Any:
    return brief(await outcome(client.read_resource(MISSING)))


async def call(client: mcp.Client) -> Any:
    return brief(await outcome(client.call_tool("x", {})))


async def prompt(client: mcp.Client) -> Any:
    return brief(await outcome(client.get_prompt("p")))


async def listed(client: mcp.Client) -> Any:
    return brief(await outcome(client.list_prompts()))


NOT_FOUND = {
    "python": {"code": 0, "message": f"Unknown resource: {MISSING}"},
    "fastmcp": {"code": -32002, "message": f"Resource not found: '{MISSING}'"},
    "typescript": {"code": -32602, "message": f"MCP error -32602: Resource {MISSING} not found"},
    "go": {"code": -32002, "message": "Resource not found", "data": {"uri": MISSING}},
    "rust": {"code": -32002, "message": "resource_not_found", "data": {"uri": MISSING}},
    "csharp": {"code": -32002, "message": f"Unknown resource URI: '{MISSING}'"},
    "java": {"code": -32603, "message": f"Resource not found: {MISSING}"},
    "kotlin": {"code": -32603, "message": f"Resource not found: {MISSING}"},
    "php": {"code": -32002, "message": f'Resource not found for uri: "{MISSING}".'},
    "ruby": {"code": -32602, "message": f"Resource not found: {MISSING}", "data": {"uri": MISSING}},
    "by hand": {"code": 404, "message": "Resource not found"},
    "method": {"code": -32601, "message": "Resource not found"},
}
"""What the SDKs say of a resource that is not there."""

CODES = [
    OddServer(
        f"a missing resource, {sdk}",
        fails(READ, error),
        ALL if sdk == "python" else HTTP,
        calls=read,
        wanted=[-32602, {"uri": MISSING}],
    )
    for sdk, error in NOT_FOUND.items()
]
CODES += [
    OddServer(
        f"{code} from {method}",
        fails(method, {"code": code, "message": "no", "data": {"a": 1}}),
        ALL if method == "tools/call" else HTTP,
        calls=calls,
        wanted=[-32603, {"legacyCode": code, "legacyData": {"a": 1}}],
    )
    for code in (-32002, -32042)
    for method, calls in (("tools/call", call), ("prompts/get", prompt), ("prompts/list", listed))
]
CODES += [
    OddServer(
        "-32042 from resources/read",
        fails(READ, {"code": -32042, "message": "no"}),
        HTTP,
        calls=read,
        wanted=[-32603, {"legacyCode": -32042}],
    ),
    OddServer(
        "an unknown prompt, python",
        fails("prompts/get", {"code": 0, "message": "Unknown prompt: p"}),
        HTTP,
        calls=prompt,
        wanted=[-32602, None],
    ),
    # Words that say something else leave the code alone.
    OddServer(
        "a resource that cannot be read",
        fails(READ, {"code": 0, "message": f"Error reading resource {MISSING}: host not found"}),
        HTTP,
        calls=read,
    ),
    OddServer(
        "a tool that failed",
        fails("tools/call", {"code": -32000, "message": "resource not found", "data": {"a": 1}}),
        HTTP,
        calls=call,
    ),
]


# MARK: Questions

FORM = {"message": "name?", "requestedSchema": {"type": "object", "properties": {}}, "mode": "form"}
SAMPLE = {"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 1}
PAGES = {"elicitations": [{"mode": "url", "elicitationId": "e", "url": "https://a.example/", "message": "m"}]}
QUESTIONS: dict[str, tuple[str, dict[str, Any] | None, Any]] = {
    "elicitation": ("elicitation/create", FORM, {"elicitation": {"form": {}}}),
    "elicitation before modes": (
        "elicitation/create",
        {name: value for name, value in FORM.items() if name != "mode"},
        {"elicitation": {"form": {}}},
    ),
    "a page": (
        "elicitation/create",
        {"mode": "url", "elicitationId": "e", "url": "https://a.example/", "message": "m"},
        {"elicitation": {"url": {}}},
    ),
    "sampling": ("sampling/createMessage", SAMPLE, {"sampling": {}}),
    "sampling with tools": ("sampling/createMessage", {**SAMPLE, "tools": []}, {"sampling": {"tools": {}}}),
    "roots": ("roots/list", None, {"roots": {}}),
}


class Asking:
    """Tools that ask, wait for what the client says, and answer in the way that their call wants: the arguments are `ends`
    ("error", "isError", "well", or a code) and, for tools that wait beside it, `number`."""

    def __init__(self, running: Running, question: str, on_get: bool) -> None:
        self.running, self.on_get = running, on_get
        self.method, self.params, _ = QUESTIONS[question]
        self.answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.streams: dict[str | None, Peer] = {}
        self.stream = asyncio.Event()
        self.runs = 0
        self.waiting: list[asyncio.Event] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, peer: Peer) -> bool:
        exchange = peer.exchange
        if exchange is not None and exchange.request.method == "GET":
            if not self.on_get or exchange.session not in self.running.http.sessions:
                return False
            get = Peer("stream", {}, self.running)
            get.exchange = exchange
            await exchange.stream_head()
            get._said = True
            self.streams[exchange.session] = get
            self.stream.set()
            while not exchange.writer.is_closing():
                await asyncio.sleep(0.02)
            return True
        if not peer.method and str(peer.id).startswith("q-"):
            self.answers[peer.id].set_result(peer.message)
            return False
        if peer.tool is None:
            return False
        if exchange is not None:
            await self.serve(peer)
        else:
            # The next message comes when this one has been dealt with.
            task = asyncio.create_task(self.serve(peer))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return True

    async def serve(self, peer: Peer) -> None:
        arguments = peer.message["params"].get("arguments") or {}
        if arguments.get("waits"):
            done = asyncio.Event()
            self.waiting.append(done)
            await done.wait()
            return await peer.text("waited")
        self.runs += 1
        while arguments.get("beside", 0) > len(self.waiting):
            await asyncio.sleep(0.01)
        way = peer
        if self.on_get:
            await self.stream.wait()
            way = self.streams[peer.exchange.session]
        id = f"q-{len(self.answers)}"
        self.answers[id] = asyncio.get_running_loop().create_future()
        params = {} if self.params is None else {"params": self.params}
        await way.message_of(id=id, method=self.method, **params)
        answer = await self.answers[id]
        for each in self.waiting:
            each.set()
        match arguments.get("ends"):
            case "error":
                await peer.error(answer.get("error", {}).get("code", 1), "Method not found")
            case "isError":
                await peer.result(content=[{"type": "text", "text": "Method not found"}], isError=True)
            case int(code):
                await peer.error(code, "no")
            case _:
                await peer.text("well all the same")


def asks(question: str, *, on_get: bool = False) -> Any:
    def script(running: Running) -> Script:
        running.asking = Asking(running, question, on_get)
        return running.asking

    return script


async def three_ends(client: mcp.Client) -> Any:
    return [brief(await outcome(client.call_tool("x", {"ends": end}))) for end in ("error", "isError", "well")]


async def accept(*_: Any) -> Any:
    return mcp.types.ElicitResult(action="accept", content={})


ASKABLE = {"elicitation_callback": accept}


async def fails_after_questions(client: mcp.Client) -> Any:
    return [brief(await outcome(client.call_tool("x", {"ends": code}))) for code in (-32002, -32042, -32021, 5)]


async def beside_another(client: mcp.Client) -> Any:
    """A call that asks while another waits in the same session."""
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(outcome(client.call_tool("x", {"waits": True})))
        asked = group.create_task(outcome(client.call_tool("x", {"ends": "isError", "beside": 1})))
    return [brief(waits.result()), brief(asked.result())]


async def ran_once(running: Running, _: Any) -> None:
    assert running.asking.runs == 3, "no call runs twice"


def required(question: str) -> list[Any]:
    return [-32021, {"requiredCapabilities": QUESTIONS[question][2]}]


ASKED = [
    OddServer(
        f"asks who cannot be asked: {question}",
        asks(question),
        ("stream", "sse", "stdio") if question in ("elicitation", "sampling", "roots") else ("stream",),
        calls=three_ends,
        wanted=[required(question), required(question), ["well all the same"]],
        check=ran_once,
    )
    for question in QUESTIONS
]
ASKED += [
    OddServer(
        f"asks who cannot be asked, by GET: {question}",
        asks(question, on_get=True),
        HTTP,
        calls=three_ends,
        wanted=[required(question), required(question), ["well all the same"]],
        check=ran_once,
    )
    for question in ("elicitation", "roots")
]
ASKED += [
    OddServer(
        "asks beside another call",
        asks("sampling"),
        ("stream",),
        calls=beside_another,
        wanted=[["waited"], required("sampling")],
    ),
    # Of two calls on one wire, it is not known which the question is about: the server's own words are left.
    OddServer("asks beside another call, on one wire", asks("sampling"), ("sse", "stdio"), calls=beside_another),
    OddServer("asks beside another call, by GET", asks("sampling", on_get=True), HTTP, calls=beside_another),
    OddServer(
        "pages for who opens none",
        fails("tools/call", {"code": -32042, "message": "visit", "data": PAGES}),
        ALL,
        calls=call,
        wanted=required("a page"),
    ),
    OddServer(
        "names what is missing",
        fails("tools/call", {"code": -32021, "message": "m", "data": {"requiredCapabilities": {"roots": {}}}}),
        HTTP,
        calls=call,
    ),
]

# Clients that can be asked have calls of another kind: in sessions of their own, which outlive their requests.
ASKABLES = [
    OddServer(
        f"{code} from {method}, of who can be asked",
        fails(method, {"code": code, "message": "no"}),
        HTTP,
        calls=calls,
        wanted=wanted,
        client=ASKABLE,
    )
    for code, method, calls, wanted in (
        (-32002, "tools/call", call, [-32603, {"legacyCode": -32002}]),
        (-32042, "prompts/get", prompt, [-32603, {"legacyCode": -32042}]),
        (-32002, READ, read, [-32602, {"uri": MISSING}]),
    )
]
ASKABLES += [
    OddServer(
        "asks, and fails then",
        asks("elicitation"),
        ("stream", "sse", "stdio"),
        calls=fails_after_questions,
        wanted=[*([-32603, {"legacyCode": code}] for code in (-32002, -32042, -32021)), [5, None]],
        client=ASKABLE,
    ),
    OddServer(
        "asks for what a client that can be asked has not",
        asks("sampling"),
        ("stream", "sse", "stdio"),
        calls=three_ends,
        wanted=[required("sampling"), required("sampling"), ["well all the same"]],
        client=ASKABLE,
        check=ran_once,
    ),
]

ROWS = CODES + ASKED + ASKABLES
