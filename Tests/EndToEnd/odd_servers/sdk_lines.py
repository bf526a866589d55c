"""Lines as commands write them."""

from __future__ import annotations

import json
from collections.abc import Callable

from harness.odd import OddServer, Peer, Running, Script
from harness.odd_ways import Maker, initialize_result


def lines(write: Callable[[bytes], bytes]) -> Maker:
    """A command with a way of its own to write each line, the first too."""

    def make(_: Running) -> Script:
        async def script(peer: Peer) -> bool:
            if peer.wire is None or peer.id is None or not peer.method:
                return False
            match peer.method:
                case "initialize":
                    result = initialize_result(peer)
                case "tools/list":
                    result = {"tools": [{"name": "x", "inputSchema": {"type": "object"}}]}
                case "tools/call":
                    result = {"content": [{"type": "text", "text": "é"}]}
                case _:
                    return False
            said = json.dumps({"jsonrpc": "2.0", "id": peer.id, "result": result}, ensure_ascii=False)
            peer.wire.write(write(said.encode()))
            return True

        return script

    return make


def like_lsp(line: bytes) -> bytes:
    """Servers that come from language servers: a head before each message."""
    return b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" % len(line) + line + b"\n"


ROWS = [
    OddServer("crlf_lines", lines(lambda line: line + b"\r\n"), forms=("stdio",)),
    OddServer("blank_lines", lines(lambda line: b"\n\r\n" + line + b"\n\n"), forms=("stdio",)),
    OddServer("padded_lines", lines(lambda line: b" \t" + line + b"  \t\n"), forms=("stdio",)),
    OddServer("lsp_lines", lines(like_lsp), forms=("stdio",)),
]
