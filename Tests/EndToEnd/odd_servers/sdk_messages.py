"""Messages as SDKs, frameworks and servers written by hand write them."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import mcp

from harness.odd import HTTP, OddServer, Peer, Running, Script, outcome
from harness.odd_ways import PUSHING, RAW, content, on_call, response


WRONG = [
    *("ValidationError", RAW, "ValidationError"),
    {"content": [{"type": "text", "text": '{"a":1}'}], "structuredContent": {"a": 1}, "isError": False},
    *("ValidationError", "ValidationError", {"content": [], "isError": False}, RAW),
]
"""What `wrong_calls` get: `content` is added where it is missing, and nothing else is changed."""

WRONG_LISTS = [
    {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("x", "y")]},
    *({"prompts": [{"name": "p"}]}, "ValidationError", RAW),
]
"""What `list_calls` get: a schema that is missing is one that takes every object."""


def null_members() -> dict[str, bytes]:
    """C# (data-api-builder): each member that has no value is written as null."""
    nothing = b'"title":null,"description":null,"outputSchema":null,"annotations":null,"icons":null,"_meta":null'
    tool = b'{"name":"x","inputSchema":{"type":"object"},' + nothing + b"}"
    said = b'{"type":"text","text":"raw","annotations":null,"_meta":null}'
    return {
        "tools/list": b'{"tools":[' + tool + b'],"nextCursor":null,"_meta":null}',
        "tools/call": b'{"content":[' + said + b'],"structuredContent":null,"isError":false,"_meta":null}',
    }


async def null_error(peer: Peer) -> None:
    """Newtonsoft and Jackson by default: `error` is null beside a result."""
    await peer.say(f'{{"jsonrpc":"2.0","id":{peer.id},"result":{content("raw")},"error":null}}')


async def more_members(peer: Peer) -> None:
    """Vendors' members beside those of JSON-RPC and of MCP."""
    said = '{"content":[{"type":"text","text":"raw","x-lang":"en"}],"latency_ms":1.5,"x":{"y":[1]}}'
    await peer.say(f'{{"jsonrpc":"2.0","server":"s","id":{peer.id},"result":{said},"usage":{{"tokens":3}}}}')


async def sorted_members(peer: Peer) -> None:
    """Go maps: members in the order of the alphabet, the id after the result."""
    await peer.say(f'{{"result":{content("raw")},"jsonrpc":"2.0","id":{peer.id}}}')


async def php_escapes(peer: Peer) -> None:
    """PHP's json_encode: every slash and every letter beyond ASCII is escaped, in names of methods too."""
    params = '{"level":"info","data":"caf\\u00e9"}'
    await peer.say(f'{{"jsonrpc":"2.0","method":"notifications\\/message","params":{params}}}')
    text = '{"content":[{"type":"text","text":"http:\\/\\/x\\/caf\\u00e9 \\ud83d\\ude00"}]}'
    await peer.say(response(peer, text))


async def odd_letters(peer: Peer) -> None:
    """What some readers take for the end of a line, unescaped, and NUL."""
    text = "a\u2028b\u2029c\u0085d\x7fe\ufefff"
    said = json.dumps({"content": [{"type": "text", "text": text + "\0\x0b\x0c\x1c"}]}, ensure_ascii=False)
    await peer.say(response(peer, said))


async def numbers(peer: Peer) -> None:
    """Numbers that a reader of doubles would change."""
    said = '{"a":9007199254740993,"b":-0.0,"c":1e400,"d":1.0,"e":123456789012345678901234567890,"f":0.1000000000000000055}'
    await peer.say(response(peer, f'{{"content":[],"structuredContent":{said}}}'))


async def deep(peer: Peer) -> None:
    depth = 60
    await peer.say(response(peer, f'{{"content":[],"structuredContent":{{"a":{"[" * depth}{"]" * depth}}}}}'))


async def long(peer: Peer) -> None:
    """3 MB in one line: an image, as Base64."""
    image = {"type": "image", "data": "QUJD" * 750_000, "mimeType": "image/png"}
    await peer.result(content=[image])


async def long_calls(client: mcp.Client) -> Any:
    found = await outcome(client.call_tool("x"))
    return [len(each.get("data", "")) for each in found.get("content", [])] or found


async def spaced(peer: Peer) -> None:
    """A pretty printer, with a line feed at the end."""
    lines = json.dumps({"jsonrpc": "2.0", "id": peer.id, "result": json.loads(content("raw"))}, indent=4)
    await peer.say("\n".join(lines.split("\n")) if peer.form == "json" else lines.replace("\n", "\ndata: "))


NAMES = ("a b", "ünï/日本", "a.b:c-d_e", "x" * 300, "%41", "=?base64?YQ==?=", '"quoted"', "a\tb")
URIS = ("raw:///ä b?x=1&y=%20#z", "no-scheme", "RAW:///UP", "urn:a:b", "file:///C:\\x\\y", "{template}")


def odd_names() -> dict[str, bytes]:
    """Names and URIs that frameworks make of routes, files and sentences; one tool is there twice."""
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in (*NAMES, NAMES[0])]
    return {
        "tools/list": json.dumps({"tools": tools}, ensure_ascii=False).encode(),
        "resources/list": json.dumps({"resources": [{"uri": uri, "name": uri} for uri in URIS]}).encode(),
    }


def says_name(_: Running) -> Script:
    async def script(peer: Peer) -> bool:
        if peer.tool is not None:
            await peer.text(peer.tool)
        elif peer.method == "resources/read":
            uri = peer.message["params"]["uri"]
            await peer.result(contents=[{"uri": uri, "text": uri}])
        else:
            return False
        return True

    return script


async def name_calls(client: mcp.Client) -> Any:
    lists = [await outcome(client.list_tools()), await outcome(client.list_resources())]
    said = [await outcome(client.call_tool(name)) for name in NAMES]
    return lists + said + [await outcome(client.read_resource(uri)) for uri in URIS]


def wrong(_: Running) -> Script:
    """Results against the schema. They stay as they are, and the next call gets its own."""
    results = [
        '{"content":[{"type":"widget","x":1}]}',
        '{"content":[],"isError":null}',
        '{"structuredContent":{"a":1}}',
        '{"content":"text"}',
        '{"content":[{"type":"text"}]}',
        "{}",
    ]

    async def script(peer: Peer) -> bool:
        if peer.tool is not None and (text := peer.message["params"]["arguments"]["text"]) != "good":
            await peer.say(response(peer, results[int(text)]))
            return True
        return False

    return script


async def attempt(asked: Awaitable[Any]) -> Any:
    """As `outcome`; what the client itself does not take is the name of the error."""
    try:
        return await outcome(asked)
    except (ValueError, RuntimeError) as error:
        return type(error).__name__


async def wrong_calls(client: mcp.Client) -> Any:
    texts = ("0", "good", "1", "2", "3", "4", "5", "good")
    return [await attempt(client.call_tool("x", {"text": text})) for text in texts]


def wrong_lists() -> dict[str, bytes]:
    """Tools without a schema, with null for one, and a cursor that is a number."""
    return {
        "tools/list": b'{"tools":[{"name":"x"},{"name":"y","inputSchema":null}],"nextCursor":null}',
        "prompts/list": b'{"prompts":[{"name":"p","arguments":null}],"nextCursor":2}',
        "resources/list": b'{"resources":[{"uri":"raw:///r"}]}',
    }


async def list_calls(client: mcp.Client) -> Any:
    asked = (client.list_tools(), client.list_prompts(), client.list_resources(), client.call_tool("x"))
    return [await attempt(each) for each in asked]


ROWS = [
    OddServer("null_members", results=null_members()),
    OddServer("null_error", on_call(null_error)),
    OddServer("more_members", on_call(more_members)),
    OddServer("sorted_members", on_call(sorted_members)),
    OddServer("php_escapes", on_call(php_escapes), forms=PUSHING),
    OddServer("odd_letters", on_call(odd_letters)),
    OddServer("numbers", on_call(numbers)),
    OddServer("deep", on_call(deep)),
    OddServer("long", on_call(long), forms=("json", "stdio"), calls=long_calls),
    OddServer("spaced", on_call(spaced), forms=(*HTTP, "sse")),
    OddServer("odd_names", says_name, results=odd_names(), calls=name_calls),
    OddServer("wrong_results", wrong, calls=wrong_calls, wanted=WRONG),
    OddServer("wrong_lists", results=wrong_lists(), calls=list_calls, wanted=WRONG_LISTS),
]
