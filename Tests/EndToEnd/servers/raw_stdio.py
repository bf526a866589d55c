"""A stdio server without an SDK that starts fast and breaks rules: a tool's name says which.

    raw_stdio.py [OPTION...]

Options for the start: `banner` prints text first, `silent` never answers `initialize`, `fails` ends with status 7, `garbled` answers
`initialize` with what is no JSON, `greets` asks for roots before its answer to that, and takes it back with `regrets`; `child` starts a process that ignores SIGTERM and the end of its input, and `old` speaks 2024-11-05.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

options = sys.argv[1:]
out = sys.stdout.buffer


def say(message: dict[str, Any]) -> None:
    out.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    out.flush()


def text(id: Any, value: str) -> None:
    say({"id": id, "result": {"content": [{"type": "text", "text": value}]}})


def call(id: Any, name: str, arguments: dict[str, Any], meta: dict[str, Any]) -> None:
    match name:
        case "env":
            return text(id, json.dumps(dict(os.environ)))
        case "told":  # What was answered to its questions.
            return text(id, json.dumps(told))
        case "where":
            return text(id, os.getcwd())
        case "pid":
            return text(id, str(os.getpid()))
        case "line":  # How the request looked.
            return text(id, json.dumps(last))
        case "stray":
            out.write(b"not a message\n\xff\xfe neither\n\n  \n")
        case "garbage":
            out.write(b'{"jsonrpc":"2.0","id":' + str(id).encode() + b',"result":}\n')
        case "latin":
            out.write(b'{"jsonrpc":"2.0","id":' + str(id).encode() + b',"result":{"content":[],"x":"\xe9"}}\n')
        case "endless":
            while True:
                out.write(b'{"a":"' + b"x" * 65536)
        case "exit":
            sys.exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "last words":
            text(id, "said")
            out.flush()
            sys.exit(0)
        case "cut off":
            out.write(b'{"jsonrpc":"2.0","id":' + str(id).encode() + b',"result":{"content":[]}}')
            out.flush()
            sys.exit(0)
        case "closes":
            out.flush()
            os.close(1)
            time.sleep(100)
        case "complains":
            for number in range(arguments["lines"]):
                print(f"line {number} " + "y" * arguments.get("length", 0), file=sys.stderr)
        case "deaf":
            text(id, "deaf from now on")
            time.sleep(100)
        case "asks":  # And reads no answer.
            for number in range(5000):
                say({"id": f"q{number}", "method": "ping"})
            time.sleep(arguments.get("seconds", 0))
        case "progress":
            for number in range(arguments["count"]):
                params = {"progressToken": meta.get("progressToken"), "progress": number + 1}
                say({"method": "notifications/progress", "params": {**params, "message": "z" * arguments.get("size", 0)}})
        case "bytes":  # More than a client that does not read takes, and then lines of one byte.
            params = {"progressToken": meta.get("progressToken"), "progress": 1, "message": "z" * arguments["size"]}
            say({"method": "notifications/progress", "params": params})
            out.write(b"x\n" * arguments["lines"])
        case "logs":
            for number in range(arguments["count"]):
                say({"method": "notifications/message", "params": {"level": "info", "data": "z" * arguments["size"]}})
        case "twice":
            text(id, "first")
            text(id, "second")
            return
        case "sleep":
            time.sleep(arguments["seconds"])
        case "big":
            return text(id, "x" * arguments["bytes"])
    text(id, arguments.get("text", "raw"))


if "banner" in options:
    print("Welcome to the server!\n\x1b[31mwarning\x1b[0m: [not] {a message}")
    print("   ", flush=True)
if "fails" in options:
    print("I cannot start", file=sys.stderr)
    sys.exit(7)
if "child" in options:
    script = "trap '' TERM HUP INT; while :; do sleep 1; done"
    started = subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"started {started.pid}", file=sys.stderr, flush=True)

last = ""
told: list[dict[str, Any]] = []
for line in sys.stdin.buffer:
    last = line.decode()
    message = json.loads(line)
    match message.get("method"):
        case "initialize":
            if "silent" in options:
                time.sleep(100)
            if "garbled" in options:
                out.write(b"{oops\n")
                out.flush()
                continue
            version = "2024-11-05" if "old" in options else "2025-11-25"
            info = {"name": "raw", "version": "1"}
            say({"id": "early", "method": "ping"})
            if "greets" in options:
                say({"id": 0, "method": "roots/list"})
            capabilities = {"tools": {}}
            say({"id": message["id"], "result": {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}})
        case "tools/list":
            names = ["x", "sleep"]
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
            say({"id": message["id"], "result": {"tools": tools}})
        case "tools/call":
            params = message["params"]
            call(message["id"], params["name"], params.get("arguments", {}), params.get("_meta", {}))
        case "notifications/initialized" if "regrets" in options:
            say({"method": "notifications/cancelled", "params": {"requestId": 0}})
        case "ping":
            say({"id": message["id"], "result": {}})
        case None if message["id"] != "early":  # The answer to a question.
            told.append(message)
