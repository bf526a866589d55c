"""Servers that a strict reader refuses, though what they say can mean one thing only."""

from __future__ import annotations

import json

from harness.odd import HTTP, OddServer, Peer, Running, Script
from harness.odd_ways import USUAL, initialize_result, on_call
from servers.raw import Exchange

from .sdk_http import http, split, typed, with_lines
from .sdk_lines import lines

MARKED = {"content": [{"type": "text", "text": "é"}], "isError": False}


async def null_result(peer: Peer) -> None:
    """The same with an error."""
    await peer.say(f'{{"jsonrpc":"2.0","id":{peer.id},"result":null,"error":{{"code":-32602,"message":"no","data":null}}}}')


async def duplicate_members(peer: Peer) -> None:
    """Servers that append to a text: a member is there twice, in the result and in the envelope."""
    said = '{"content":[],"content":[{"type":"text","text":"raw"}],"isError":false,"isError":false}'
    await peer.say(f'{{"jsonrpc":"2.0","jsonrpc":"2.0","id":{peer.id},"id":{peer.id},"result":{said}}}')


def long_sessions(running: Running) -> Script:
    """Servers that keep no state: the session id is a signed token of 3 KB."""
    token = "eyJhbGciOiJIUzI1NiJ9." + "A" * 3000 + ".sig-_~+/="

    async def script(peer: Peer) -> bool:
        exchange = peer.exchange
        assert exchange is not None and running.http is not None
        if exchange.method != "initialize":
            return False
        running.http.sessions.add(token)
        await exchange.json(exchange.response(json.dumps(initialize_result(peer)).encode()), Mcp_Session_Id=token)
        return True

    return script


def empty_sessions(running: Running) -> Script:
    """mcp-go without sessions: the field is there, and empty."""
    inner = http(with_lines(b"Mcp-Session-Id: "))(running)

    async def script(peer: Peer) -> bool:
        assert running.http is not None
        running.http.with_sessions = False
        return await inner(peer)

    return script


def doubled_length(data: bytes, _: Exchange) -> bytes:
    """A framework and the server below it both say the length."""
    head, body = split(data)
    said = [each for each in head if each.lower().startswith(b"content-length")]
    return b"\r\n".join([*head, *said, b"", body])


def untyped(data: bytes, _: Exchange) -> bytes:
    return data.replace(b"Content-Type: application/json\r\n", b"", 1)


def marked_lines(running: Running) -> Script:
    """.NET and PowerShell on Windows: the first line begins with a byte order mark."""
    written: list[bytes] = []

    def write(line: bytes) -> bytes:
        written.append(line)
        return (b"\xef\xbb\xbf" if len(written) == 1 else b"") + line + b"\r\n"

    return lines(write)(running)


ROWS = [
    OddServer("null_result", on_call(null_result)),
    OddServer("duplicate_members", on_call(duplicate_members)),
    OddServer("long_sessions", long_sessions, forms=HTTP),
    OddServer("empty_sessions", empty_sessions, forms=("json",)),
    OddServer("doubled_length", http(doubled_length), forms=("json",)),
    OddServer("untyped", http(untyped), forms=("json",), wanted=USUAL),
    OddServer("text_type", http(typed(b"text/plain", b"text/plain")), forms=("json",), wanted=USUAL),
    OddServer("json_text_type", http(typed(b"text/json", b"text/json")), forms=("json",), wanted=USUAL),
    OddServer(
        "json_rpc_type", http(typed(b"application/json-rpc", b"application/json-rpc")), forms=("json",), wanted=USUAL),
    OddServer("marked_lines", marked_lines, forms=("stdio",), wanted=[USUAL[0], MARKED, MARKED]),
]
