"""Servers whose messages are not quite as they should be: the one response that is waited for counts, in whatever way it can mean
only one thing, and everything beside it is passed over."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Sequence
from typing import Any

import mcp
from mcp.types import ElicitResult

from harness.modern import Client, request
from harness.odd import ALL, HTTP, OddServer, Peer, Running, Script, outcome, said, text_result
from harness.remora import Remora

CHANNELS = ("sse", "stdio")
EVENTS = ("stream", "sse")
AMONG_OTHERS = ("stream", *CHANNELS)
"""Forms in which other messages can come before the response."""
BOM = b"\xef\xbb\xbf"


BOTH = [said("1"), said("2")]


async def both_calls(client: mcp.Client) -> Any:
    return [await outcome(client.call_tool("x", {"text": text})) for text in ("1", "2")]


async def last_call(client: mcp.Client) -> Any:
    return await outcome(client.call_tool("x", {"text": "1"}))


async def failure(client: mcp.Client) -> Any:
    """What a client is told of a response that cannot be worked with; then the next call, which can."""
    try:
        await client.call_tool("x", {"text": "1"})
    except mcp.MCPError as error:
        first = (error.code, (error.data or {}).get("reason"))
    else:
        first = (0, None)
    return [first, await outcome(client.call_tool("x", {"text": "2"}))]


UNKNOWN = [(-32603, "outcome_unknown"), said("2")]


async def one_session(running: Running, _: Remora) -> None:
    assert running.methods["initialize"] == 1, running.methods


async def handshake(peer: Peer) -> None:
    """Answers `initialize` on the stream of its POST, as the harness does in a document."""
    row, http = peer.server.row, peer.server.http
    if http is not None and peer.exchange is not None:
        http.sessions.add("in-a-stream")
        await peer.exchange.stream_head(Mcp_Session_Id="in-a-stream")
        peer._said = True
    for text, event in peer.server.noise:  # type: ignore[attr-defined]
        await peer.say(text, event=event)
    information = {"name": "odd", "version": "1"}
    await peer.result(protocolVersion=row.revision, capabilities=row.capabilities, serverInfo=information)


Noise = Sequence[tuple[bytes | str, str | None]]


def noisy(noise: Noise) -> Callable[[Running], Script]:
    """Says all this before the answer to each call, and to `initialize`."""

    def make(running: Running) -> Script:
        running.noise = noise  # type: ignore[attr-defined]

        async def script(peer: Peer) -> bool:
            if peer.method == "initialize":
                await handshake(peer)
            elif peer.tool is not None:
                for text, event in noise:
                    await peer.say(text, event=event)
                await peer.text(peer.message["params"]["arguments"]["text"])
            else:
                return False
            return True

        return script

    return make


def noise(name: str, *texts: bytes | str, event: str | None = None, forms: Sequence[str] = AMONG_OTHERS) -> OddServer:
    script = noisy([(text, event) for text in texts])
    return OddServer(f"noise-{name}", script, forms, both_calls, wanted=BOTH, check=one_session)


def spelled(template: str | bytes, only_first: bool = False) -> Callable[[Running], Script]:
    """Answers a call by this text, with the request's id for ID and its text as a JSON string for TEXT."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.tool is None:
                return False
            text = peer.message["params"]["arguments"]["text"]
            if only_first and text != "1":
                return False
            data = template.encode() if isinstance(template, str) else template
            await peer.say(data.replace(b"ID", str(peer.id).encode()).replace(b"TEXT", json.dumps(text).encode()))
            return True

        return script

    return make


def response(name: str, template: str | bytes, forms: Sequence[str] = ALL, wanted: Any = None) -> OddServer:
    script = spelled(template)
    return OddServer(f"response-{name}", script, forms, both_calls, wanted=wanted or BOTH, check=one_session)


RESULT = '"result":{"content":[{"type":"text","text":TEXT}]}'


def error(name: str, template: str, *wanted: Any, forms: Sequence[str] = ALL) -> OddServer:
    return response(f"error-{name}", template, forms, [{"error": list(wanted)}] * 2)


def broken(name: str, template: str | bytes, forms: Sequence[str] = ALL) -> OddServer:
    """A response that means two things, or nothing: the call fails, and the session lives on."""

    def make(running: Running) -> Script:
        answers = spelled(template, only_first=True)(running)

        async def script(peer: Peer) -> bool:
            if await answers(peer):
                return True
            if peer.tool is None:
                return False
            await peer.text("2")
            return True

        return script

    return OddServer(f"broken-{name}", make, forms, failure, wanted=UNKNOWN, check=one_session)


NULL_PARAMS = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}'

NOISE = [
    noise("event-ping", "ping", event="ping", forms=EVENTS),
    noise("event-heartbeat", '{"type":"heartbeat"}', event="heartbeat", forms=EVENTS),
    noise("event-open", "", "{}", event="open", forms=EVENTS),
    noise("event-with-a-response", '{"jsonrpc":"2.0","id":1,"result":{}}', event="draft", forms=EVENTS),
    noise("event-error-without-json-rpc", '{"error":"slow"}', "slow", event="error", forms=EVENTS),
    noise("event-message", '{"type":"ping"}', event="message", forms=EVENTS),
    noise("heartbeat", '{"type":"heartbeat","timestamp":"t"}'),
    noise("other-json", "{}", "[]", "[1,2]", "null", "true", "17", '"text"', '["a"]', '[{"a":1}]'),
    noise("lines", "[INFO] Server 1.0 starting", "[MCP] list_tools requested", "Server ready", "{starting}", "[{", "{"),
    noise("lines-with-lengths", "Content-Length: 52", "Content-Type: application/json", "17 things", "  ", "\t"),
    noise("colours", "\x1b[32mINFO\x1b[0m ready", "\x1b[2K{not a message}", b"\xff\xfe", BOM),
    noise("logs-in-json", '{"level":"info","method":"GET","id":7,"msg":"x"}', '{"level":30,"id":1,"result":"ok","msg":"m"}'),
    noise("null-params", NULL_PARAMS),
    noise("list-params", NULL_PARAMS.replace("null", "[]"), NULL_PARAMS.replace("null", '"all"'), NULL_PARAMS.replace("null", "1")),
    noise("two-params", '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{},"params":{"a":1}}'),
    noise("params-with-doubles", '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","level":"error","data":1}}'),
    noise("two-methods", '{"jsonrpc":"2.0","method":"notifications/message","method":"notifications/progress"}'),
    noise("other-versions", '{"method":"notifications/message","params":{}}', '{"jsonrpc":"1.0","method":"notifications/message"}'),
    noise("id-null", '{"jsonrpc":"2.0","id":null,"method":"notifications/tools/list_changed"}', '{"jsonrpc":"2.0","id":null,"method":"roots/list"}'),
    noise("all-members", '{"jsonrpc":"2.0","id":null,"method":"notifications/message","params":{"level":"info","data":1},"result":null,"error":null}'),
    noise("odd-ids", '{"jsonrpc":"2.0","id":[],"method":"ping"}', '{"jsonrpc":"2.0","id":true,"method":"x"}', '{"jsonrpc":"2.0","id":1.5,"result":{}}'),
    noise("no-method", '{"jsonrpc":"2.0"}', '{"jsonrpc":"2.0","method":7}', '{"jsonrpc":"2.0","method":null,"id":9}', '{"jsonrpc":"2.0","params":{}}'),
    noise("unknown-methods", '{"jsonrpc":"2.0","method":"$/progress","params":{}}', '{"jsonrpc":"2.0","method":"","params":{}}'),
    noise("bad-params", '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":[],"progress":"x"}}', '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":7}}', '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}'),
    noise("broken-notification", '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":'),
    noise("anothers-response", '{"jsonrpc":"2.0","id":2000000001,"result":{}}', '{"jsonrpc":"2.0","id":"x","result":{}}', '{"jsonrpc":"2.0","result":{}}'),
    noise("empty-response", '{"jsonrpc":"2.0","id":1}', '{"jsonrpc":"2.0","id":2,"status":"working"}'),
    noise("hundreds-of-members", json.dumps({"jsonrpc": "2.0", "method": "notifications/message", **{f"a{n}": n for n in range(2000)}})),
    noise("deep", '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":' + "[" * 500 + "]" * 500 + "}}"),
]

RESPONSES = [
    response("id-string", '{"jsonrpc":"2.0","id":"ID",' + RESULT + "}"),
    response("id-point", '{"jsonrpc":"2.0","id":ID.0,' + RESULT + "}"),
    response("id-exponent", '{"jsonrpc":"2.0","id":IDe0,' + RESULT + "}"),
    response("id-string-with-point", '{"jsonrpc":"2.0","id":"ID.0",' + RESULT + "}"),
    response("error-null", '{"jsonrpc":"2.0","id":ID,"error":null,' + RESULT + "}"),
    response("error-empty", '{"jsonrpc":"2.0","id":ID,"error":{"code":0,"message":""},' + RESULT + "}"),
    response("error-of-nothing", '{"jsonrpc":"2.0","id":ID,"error":{},' + RESULT + "}"),
    response("error-false", '{"jsonrpc":"2.0","id":ID,"error":false,' + RESULT + "}"),
    response("all-members", '{"jsonrpc":"2.0","id":ID,"method":null,"params":null,"error":null,' + RESULT + "}"),
    response("method", '{"jsonrpc":"2.0","id":ID,"method":"tools/call",' + RESULT + "}"),
    response("no-version", '{"id":ID,' + RESULT + "}"),
    response("version-number", '{"jsonrpc":2.0,"id":ID,' + RESULT + "}"),
    response("version-twice", '{"jsonrpc":"2.0","jsonrpc":"2.0","id":ID,' + RESULT + "}"),
    response("more-members", '{"jsonrpc":"2.0","id":ID,"x":1,"x":2,"time":3,' + RESULT + "}"),
    response("byte-order-mark", BOM + b'{"jsonrpc":"2.0","id":ID,' + RESULT.encode() + b"}"),
    response("spaces", ' \t{ "jsonrpc" : "2.0" , "id" : ID , ' + RESULT + " } \t\r"),
    response("not-a-number", '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":TEXT}],"_meta":{"x":[NaN,-Infinity]}}}',
             wanted=[{**each, "_meta": {"x": [None, None]}} for each in BOTH]),
    response("control-characters", b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"\x1b[1ma\tb"}]}}', wanted=[said("\x1b[1ma\tb")] * 2),
    response("latin-1", b'{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"caf\xe9"}]}}', wanted=[said("caf\ufffd")] * 2),
    response("then-more", '{"jsonrpc":"2.0","id":ID,' + RESULT + "}{}", forms=ALL),
    response("two-in-one", '{"jsonrpc":"2.0","method":"notifications/message","params":{}} {"jsonrpc":"2.0","id":ID,' + RESULT + "}", forms=ALL),
    error("result-null", '{"jsonrpc":"2.0","id":ID,"result":null,"error":{"code":-5,"message":"m"}}', -5, "m", None),
    error("result-empty", '{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":-5,"message":"m"}}', -5, "m", None),
    error("code-string", '{"jsonrpc":"2.0","id":ID,"error":{"code":"-5","message":"m","data":1}}', -5, "m", 1),
    error("code-point", '{"jsonrpc":"2.0","id":ID,"error":{"code":-5.0,"message":"m"}}', -5, "m", None),
    error("no-message", '{"jsonrpc":"2.0","id":ID,"error":{"code":-5}}', -5, "The server gave no message.", None),
    error("no-code", '{"jsonrpc":"2.0","id":ID,"error":{"message":"m"}}', -32603, "m", None),
    error("words", '{"jsonrpc":"2.0","id":ID,"error":"no such thing"}', -32603, "no such thing", None),
    error("list", '{"jsonrpc":"2.0","id":ID,"error":["a"]}', -32603, "The server gave no message.", ["a"]),
    error("no-version", '{"id":"ID","error":{"code":-5,"message":"m"}}', -5, "m", None),
    error("no-id", '{"jsonrpc":"2.0","error":{"code":-5,"message":"m"}}', -5, "m", None, forms=HTTP),
    error("id-null", '{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"m"}}', -5, "m", None, forms=HTTP),
]

BROKEN = [
    # Some write the result first, and all of it is deeper than Remora reads.
    broken("too-deep-first", '{"result":{"content":' + "[" * 200 + "]" * 200 + '},"jsonrpc":"2.0","id":ID}'),
    broken("two-outcomes", '{"jsonrpc":"2.0","id":ID,"error":{"code":-5,"message":"m"},' + RESULT + "}"),
    broken("two-results", '{"jsonrpc":"2.0","id":ID,"result":{"content":[]},' + RESULT + "}"),
    broken("no-outcome", '{"jsonrpc":"2.0","id":ID,"error":null}'),
    broken("cut-off", '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"te'),
    broken("no-value", '{"id":ID,"jsonrpc":"2.0","result":}'),
    broken("too-deep", '{"jsonrpc":"2.0","id":ID,"result":{"content":' + "[" * 500 + "]" * 500 + "}}"),
]


def error_event(id: str) -> Callable[[Running], Script]:
    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.tool is None:
                return False
            member = "" if not id else f'"id":{id},'.replace("ID", str(peer.id))
            await peer.say(f'{{"jsonrpc":"2.0",{member}"error":{{"code":-5,"message":"m"}}}}', event="error")
            return True

        return script

    return make


ERROR_EVENTS = [
    OddServer(f"error-event-{name}", error_event(id), forms, both_calls, wanted=[{"error": [-5, "m", None]}] * 2)
    for name, id, forms in [("id", "ID", EVENTS), ("no-id", "", ("stream",)), ("id-null", "null", ("stream",))]
]


def typed(type: str | None) -> Callable[[Running], Script]:
    """Answers a call in a document of this media type."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.tool is None or peer.exchange is None:
                return False
            text = json.dumps(text_result(peer.message["params"]["arguments"]["text"])).encode()
            await peer.exchange.reply(200, peer.exchange.response(text), type)
            return True

        return script

    return make


TYPES = {"charset": "application/json; charset=utf-8", "capitals": "Application/JSON;charset=UTF-8"}


def coded(always: bool) -> Callable[[Running], Script]:
    """Compresses what it answers, unless it is told not to, or always."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.tool is None or peer.exchange is None:
                return False
            text = peer.exchange.response(json.dumps(text_result(peer.message["params"]["arguments"]["text"])).encode())
            if always or peer.exchange.request.header("accept-encoding") != "identity":
                await peer.exchange.reply(200, gzip.compress(text), Content_Encoding="gzip")
            else:
                await peer.exchange.json(text)
            return True

        return script

    return make


async def words_of_failure(client: mcp.Client) -> Any:
    try:
        await client.call_tool("x", {"text": "1"})
    except mcp.MCPError as error:
        return (error.data or {}).get("reason")


async def gzip_is_named(_: Running, remora: Remora) -> None:
    await remora.process.line(lambda line: "gzip" in json.loads(line).get("detail", ""))


HTTP_ONLY = [
    *(OddServer(f"type-{name}", typed(type), ("json",), both_calls, wanted=BOTH) for name, type in TYPES.items()),
    OddServer("coding-unless-told", coded(False), ("json",), both_calls),
    OddServer("coding-always", coded(True), ("json",), words_of_failure, wanted="outcome_unknown", check=gzip_is_named),
]


def pushing(*messages: tuple[str, str | None]) -> Callable[[Running], Script]:
    """Says this on the GET stream during a call, after which it has another tool."""

    def make(running: Running) -> Script:
        streams: list[Peer] = []

        async def script(peer: Peer) -> bool:
            if peer.exchange is not None and peer.exchange.request.method == "GET":
                await peer.exchange.stream_head()
                streams.append(peer)
                await peer.exchange.writer.wait_closed()
                return True
            if peer.method == "tools/list":
                names = ["x", "y"][: 2 if running.methods["tools/call"] else 1]
                await peer.result(tools=[{"name": name, "inputSchema": {"type": "object"}} for name in names])
                return True
            if peer.tool is None:
                return False
            for text, event in messages:
                name = f"event: {event}\n" if event else ""
                if peer.wire is not None:
                    await peer.say(text, event=event)
                for stream in streams:
                    assert stream.exchange is not None
                    await stream.exchange.chunk(f"{name}data: {text}\n\n".encode())
            return False

        return script

    return make


async def tools_change(_: Running, remora: Remora) -> None:
    """Asked without the cache that a client has."""
    async with Client(remora.address) as client:
        found = []
        for _step in range(2):
            answer = await client.send(request("tools/list", {}))
            found.append([tool["name"] for tool in answer.result["tools"]])
            await client.call("x", {"text": "1"})
            await asyncio.sleep(0.3)
    assert found == [["x"], ["x", "y"]], found


async def no_calls(_: mcp.Client) -> Any:
    return []


LISTENS = {"tools": {"listChanged": True}}
PUSHES = [
    OddServer(
        f"push-{name}", pushing(*messages), ("json", *CHANNELS), no_calls, wanted=[], capabilities=LISTENS,
        check=tools_change,
    )
    for name, messages in {
        "null-params": [(NULL_PARAMS, None)],
        "list-params": [(NULL_PARAMS.replace("null", "[]"), None)],
        "two-params": [(NULL_PARAMS.replace("null", '{},"params":{}'), None)],
        "id-null": [(NULL_PARAMS.replace("null", '{},"id":null,"result":null'), None)],
        "after-pings": [("ping", "ping"), ('{"type":"heartbeat"}', None), ("no json", None), (NULL_PARAMS, "message")],
    }.items()
]  # fmt: skip

def opening(template: str | bytes) -> Callable[[Running], Script]:
    """Answers `initialize` by this text, in which RESULT is the result."""

    def make(running: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.method != "initialize":
                return False
            row = running.row
            information = {"name": "odd", "version": "1"}
            result = {"protocolVersion": row.revision, "capabilities": row.capabilities, "serverInfo": information}
            data = template.encode() if isinstance(template, str) else template
            data = data.replace(b"RESULT", json.dumps(result).encode()).replace(b"ID", str(peer.id).encode())
            if peer.exchange is None:
                await peer.say(data)
                return True
            assert running.http is not None
            running.http.sessions.add("odd")
            if peer.form == "json":
                await peer.exchange.json(data, Mcp_Session_Id="odd")
                return True
            await peer.exchange.stream_head(Mcp_Session_Id="odd")
            await peer.exchange.chunk(b"data: " + data + b"\n\n")
            await peer.exchange.chunk(b"")
            return True

        return script

    return make


OPENINGS = [
    OddServer(f"opening-{name}", opening(template), ALL, both_calls, wanted=[said("raw")] * 2, check=one_session)
    for name, template in {
        "id-string": '{"jsonrpc":"2.0","id":"ID","result":RESULT}',
        "id-point": '{"jsonrpc":"2.0","id":ID.0,"result":RESULT}',
        "no-version": '{"id":ID,"result":RESULT}',
        "all-members": '{"jsonrpc":"2.0","method":null,"id":ID,"result":RESULT,"error":null}',
        "error-empty": '{"jsonrpc":"2.0","id":ID,"result":RESULT,"error":{"code":0,"message":""}}',
        "byte-order-mark": BOM + b'{"jsonrpc":"2.0","id":ID,"result":RESULT}',
        "then-more": '{"jsonrpc":"2.0","id":ID,"result":RESULT} ready',
    }.items()
]


def tells_progress(_: Running) -> Script:
    """Of a call by a token that is a string, or has a point."""

    async def script(peer: Peer) -> bool:
        if peer.tool is None:
            return False
        token = peer.message["params"]["_meta"]["progressToken"]
        for step, spelled in enumerate((f'"{token}"', f"{token}.0"), 1):
            text = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}'
            await peer.say(text % (spelled, step))
        await peer.text("told")
        return True

    return script


def echoes(_: Running) -> Script:
    """Repeats each request and answers it, as a terminal between has it. What is answered to that would come back, too."""

    async def script(peer: Peer) -> bool:
        await peer.say(json.dumps(peer.message))
        return False

    return script


async def call_with_progress(client: mcp.Client) -> Any:
    heard: list[float] = []

    async def hear(progress: float, *_: Any) -> None:
        heard.append(progress)

    found = await outcome(client.call_tool("x", {}, progress_callback=hear))
    return [found, heard]


def asks(*questions: str) -> Callable[[Running], Script]:
    """Asks one after the other during a call, with the ids that these have, and says what it was answered."""

    def make(_: Running) -> Script:
        waiting: list[Peer] = []
        answers: list[str] = []

        async def script(peer: Peer) -> bool:
            if peer.tool is not None:
                waiting.append(peer)
                await peer.say(questions[0])
                # The end of the script is the end of the stream.
                while peer.form == "stream" and len(answers) < len(questions):
                    await asyncio.sleep(0.02)
                return True
            if "id" in peer.message and "method" not in peer.message and waiting:
                answers.append(peer.message.get("result", peer.message.get("error")).get("action", "error"))
                if len(answers) < len(questions):
                    await waiting[0].say(questions[len(answers)])
                else:
                    await waiting[0].text(" ".join(answers))
            return False

        return script

    return make


async def accept(*_: Any) -> Any:
    return ElicitResult(action="accept", content={})


FORM = '"params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}'
QUESTIONS = [
    OddServer(
        f"question-{name}", asks(*questions), AMONG_OTHERS, last_call, wanted=said(answers), client={"elicitation_callback": accept}
    )
    for name, questions, answers in [
        ("id-point", [f'{{"jsonrpc":"2.0","id":7.0,"method":"elicitation/create",{FORM}}}'], "accept"),
        ("more-members", [f'{{"jsonrpc":"2.0","id":"a","result":null,"error":null,"method":"elicitation/create",{FORM}}}'], "accept"),
        ("version-twice", [f'{{"jsonrpc":"2.0","jsonrpc":"2.0","id":"a","method":"elicitation/create",{FORM}}}'], "accept"),
        ("no-params", ['{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":null}'], "error"),
        ("two-params", [f'{{"jsonrpc":"2.0","id":7,"method":"elicitation/create",{FORM},{FORM}}}'], "error"),
    ]
]  # fmt: skip

ECHO = OddServer("echo", echoes, CHANNELS, both_calls, wanted=[said("raw")] * 2, check=one_session)
PROGRESS = [OddServer("progress-tokens", tells_progress, AMONG_OTHERS, call_with_progress, wanted=[said("told"), [1.0, 2.0]])]

ROWS = [*NOISE, *RESPONSES, *BROKEN, *ERROR_EVENTS, *HTTP_ONLY, *PUSHES, *OPENINGS, *PROGRESS, *QUESTIONS, ECHO]
