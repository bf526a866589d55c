#!/usr/bin/env python3
"""Puts nginx, as a plain proxy, and Remora, translating, before the same backend, and compares what they cost.

The load is one tool call with a small answer, sent by wrk over kept connections. nginx passes it on as it is, so it
is sent as a legacy request in a session that was made before; Remora gets it as a 2026-07-28 request and translates.
Both run on one thread, and both write an access log. They take turns, so that noise of the machine hits both; the
table shows the median of all rounds.

    Tests/setup benchmark && swift build -c release && Tests/Benchmark/run.py

With --tls both end TLS from the client, with the same certificate, before the same plain backend.

With --before a second Remora, of an older state, takes its turns with the others: what a change costs is the ratio of the two.

Each of 8,000 connections takes up to two descriptors of a proxy: the limit of open files is raised as far as that needs, and
where the hard limit (`ulimit -Hn`) does not allow it, the program says so and ends.

CPU is user and system time of the proxy's process (nginx: its worker) by /proc, divided by the requests completed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import resource
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODERN, LEGACY = "2026-07-28", "2025-11-25"
WAIT = 10.0
"""Seconds within which everything has to start."""

NGINX = """\
{user}worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log warn;
worker_rlimit_nofile 32768;
events {{ worker_connections 32768; }}
http {{
    access_log {directory}/nginx-access.log combined buffer=64k flush=1s;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 8m;
    client_body_buffer_size 1m;
    proxy_buffers 16 64k;
    proxy_buffer_size 64k;
    proxy_busy_buffers_size 128k;
    keepalive_requests 1000000000;
    upstream backend {{
        server {backend};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} backlog=1024{ssl};
{certificate}        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

REMORA = """\
threads: 1
listen:
  address: 127.0.0.1:0
  path: /mcp
{tls}backends:
  - url: http://{backend}/mcp
log:
  level: info
  format: json
"""

WRK = """\
wrk.method = "POST"
wrk.path = "/mcp"
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('RESULT {{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"errors":%d}}\\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def allow_descriptors(connections: int) -> None:
    """For this process and all that it starts: of a proxy, one to the client and one to the backend of each."""
    needed = 2 * connections + 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{connections} connections need {needed} open files: raise the limit (`ulimit -Hn` says {hard}), or give --connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def binary(name: str) -> str:
    path = Path(os.environ.get("REMORA_BIN_DIR", ROOT / ".build" / "release")) / name
    if not path.exists():
        sys.exit(f"no {path}: run `swift build -c release`, or set REMORA_BIN_DIR")
    return str(path)


def program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return found or sys.exit(f"no {name}: run `Tests/setup benchmark`")


@contextlib.contextmanager
def running(*command: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listening(process: subprocess.Popen[bytes], output: Path) -> str:
    """The address in the line that says where a program of ours listens."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end and process.poll() is None:
        for line in output.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                if (event := json.loads(line)).get("event") == "listening":
                    return event["address"]
        time.sleep(0.01)
    sys.exit(f"{process.args} did not start:\n{output.read_text(errors='replace')[-2000:]}")


def until_open(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + WAIT
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            host, port = address.rsplit(":", 1)
            socket.create_connection((host, int(port)), 1).close()
            return
        time.sleep(0.01)
    sys.exit(f"nothing listens on {address}:\n{log.read_text(errors='replace')[-2000:]}")


@dataclass
class Target:
    """A proxy, and the request that it is measured with."""

    name: str
    address: str
    pid: int
    headers: dict[str, str]
    body: bytes
    script: Path
    certificate: Certificate | None = None
    """Of the proxy, if it is spoken to over TLS."""

    def write_script(self) -> None:
        def quoted(text: str) -> str:
            return json.dumps(text)  # A Lua string reads the escapes that plain ASCII needs.

        headers = "\n".join(f"wrk.headers[{quoted(name)}] = {quoted(value)}" for name, value in self.headers.items())
        self.script.write_text(WRK.format(body=quoted(self.body.decode()), headers=headers))

    def verify(self, text: str) -> None:
        """Sends the request once, and demands the right answer."""
        status, headers, body = post(self.address, self.body, self.headers, self.certificate)
        message = response(headers, body)
        content = message.get("result", {}).get("content", [{}])
        if status != 200 or message.get("id") != 1 or content[0].get("text") != text:
            sys.exit(f"{self.name} answers {status} {body[:500]!r}")

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident memory in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def post(
    address: str, body: bytes, headers: dict[str, str], certificate: Certificate | None = None
) -> tuple[int, dict[str, str], bytes]:
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=WAIT)
    if certificate is not None:
        context = ssl.create_default_context(cafile=str(certificate.file))
        connection = http.client.HTTPSConnection(host, int(port), timeout=WAIT, context=context)
    connection.request("POST", "/mcp", body, headers)
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    data = answer.read()
    connection.close()
    return answer.status, found, data


def response(headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The last JSON-RPC message of a document or an event stream."""
    text = body.decode()
    if headers.get("content-type", "").startswith("text/event-stream"):
        text = [line.partition(":")[2] for line in text.splitlines() if line.startswith("data:")][-1]
    return json.loads(text)


def legacy_request(backend: str, text: str) -> tuple[dict[str, str], bytes]:
    """The call as a legacy client sends it, in a session that is made here."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    status, received, body = post(backend, json.dumps(initialize).encode(), headers)
    if status != 200:
        sys.exit(f"the backend answers initialize with {status} {body[:500]!r}")
    headers |= {"Mcp-Session-Id": received["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
    status, _, body = post(backend, b'{"jsonrpc":"2.0","method":"notifications/initialized"}', headers)
    if not 200 <= status < 300:
        sys.exit(f"the backend answers notifications/initialized with {status} {body[:500]!r}")
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    return headers, json.dumps(message | {"params": {"name": "echo", "arguments": {"text": text}}}).encode()


def modern_request(text: str) -> tuple[dict[str, str], bytes]:
    """The same call as a 2026-07-28 client sends it."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "echo",
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    params = {"name": "echo", "arguments": {"text": text}, "_meta": meta}
    return headers, json.dumps(message | {"params": params}).encode()


@dataclass
class Certificate:
    """One for this machine, which no authority has issued."""

    file: Path
    key: Path

    @classmethod
    def make(cls, directory: Path) -> Certificate:
        made = cls(directory / "tls.pem", directory / "tls.key")
        options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(made.key), "-out", str(made.file)]
        subprocess.run([program("openssl"), "req", "-x509", *options, *names, *files], check=True, capture_output=True)
        return made


@contextlib.contextmanager
def nginx(backend: str, directory: Path, certificate: Certificate | None) -> Iterator[tuple[str, int]]:
    """Its address and the process id of its worker."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{}".format(free.getsockname()[1])
    user = "user root;\n" if os.geteuid() == 0 else ""  # Else the worker could not use the directory.
    configuration = directory / "nginx.conf"
    lines = ""
    if certificate is not None:
        lines = f"        ssl_certificate {certificate.file};\n        ssl_certificate_key {certificate.key};\n"
        lines += "        ssl_protocols TLSv1.2 TLSv1.3;\n"
    configuration.write_text(
        NGINX.format(
            user=user,
            directory=directory,
            backend=backend,
            address=address,
            ssl="" if certificate is None else " ssl",
            certificate=lines,
        )
    )
    log = directory / "nginx.log"
    command = (program("nginx"), "-p", str(directory), "-e", str(log), "-c", str(configuration))
    with running(*command, output=directory / "nginx-output.log") as process:
        until_open(address, process, log)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        yield address, int(children.read_text().split()[0])


@contextlib.contextmanager
def remora(
    backend: str, directory: Path, certificate: Certificate | None, path: str, name: str
) -> Iterator[tuple[str, int]]:
    configuration = directory / f"{name}.yaml"
    tls = "" if certificate is None else f"  tls: {{certificate: {certificate.file}, key: {certificate.key}}}\n"
    configuration.write_text(REMORA.format(backend=backend, tls=tls))
    output = directory / f"{name}.log"
    with running(path, "-c", str(configuration), output=output) as process:
        yield listening(process, output), process.pid


def start_up(backend: str, directory: Path, times: int = 11) -> float:
    """Milliseconds from the start of the program to the line that says it listens."""
    configuration = directory / "start.yaml"
    configuration.write_text(REMORA.format(backend=backend, tls=""))
    found = []
    for _ in range(times):
        start = time.perf_counter()
        process = subprocess.Popen(
            (binary("remora"), "-c", str(configuration)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        patience = threading.Timer(WAIT, process.kill)
        patience.start()
        for line in process.stdout:
            if b'"listening"' in line:
                found.append((time.perf_counter() - start) * 1000)
                break
        patience.cancel()
        process.terminate()
        process.communicate(timeout=WAIT)
    return statistics.median(found) if found else sys.exit("remora does not start")


@dataclass
class Measurement:
    rate: float
    """Requests a second."""
    p50: float
    """Milliseconds, as is p99."""
    p99: float
    cpu: float
    """Microseconds of the proxy for one request."""
    memory: float
    """MiB."""
    errors: int


FIGURES = ("rate", "p50", "p99", "cpu", "memory")
"""The members of a measurement that have a median and a ratio."""


def measure(target: Target, connections: int, seconds: float) -> Measurement:
    before = target.cpu()
    command = (program("wrk"), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s")
    run = subprocess.run(
        (*command, str(target.script), f"{'http' if target.certificate is None else 'https'}://{target.address}"),
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    used = target.cpu() - before
    line = next(line for line in run.stdout.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    requests = max(result["requests"], 1)
    return Measurement(
        rate=result["requests"] / (result["micros"] / 1e6),
        p50=result["p50"] / 1000,
        p99=result["p99"] / 1000,
        cpu=used / requests * 1e6,
        memory=target.memory(),
        errors=result["errors"],
    )


def median(rounds: list[Measurement]) -> Measurement:
    middle = {name: statistics.median(getattr(each, name) for each in rounds) for name in FIGURES}
    return Measurement(**middle, errors=sum(each.errors for each in rounds))


def table(results: dict[int, dict[str, Measurement]]) -> str:
    head = ["connections", "", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "RSS MiB", "errors"]
    rows = []
    for connections, by_name in results.items():
        for name, each in by_name.items():
            times = [f"{each.p50:.2f}", f"{each.p99:.2f}", f"{each.cpu:.1f}"]
            rows.append([str(connections), name, f"{each.rate:.0f}", *times, f"{each.memory:.1f}", str(each.errors)])
        for other in by_name:
            if other == "Remora":
                continue
            ours, theirs = by_name["Remora"], by_name[other]
            ratios = [getattr(ours, name) / (getattr(theirs, name) or 1) for name in FIGURES]
            rows.append([str(connections), f"**Remora ÷ {other}**", *(f"**{ratio:.2f}**" for ratio in ratios), ""])
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: list[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths)]
        padded[1] = cells[1].ljust(widths[1])
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width if column == 1 else "-" * (width - 1) + ":") for column, width in enumerate(widths)]
    return "\n".join(line(row) for row in [head, rule, *rows])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=5, help="seconds of each measurement (5)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind (3)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 256, 8000], help="(1 32 256 8000)")
    parser.add_argument("--sse", action="store_true", help="the backend answers with event streams")
    parser.add_argument("--tls", action="store_true", help="clients speak TLS to both proxies")
    parser.add_argument("--size", type=int, default=32, help="bytes of text in the answer (32)")
    parser.add_argument("--before", metavar="PROGRAM", help="an older remora, to compare with in the same run")
    default = ROOT / ".build" / "benchmark.md"
    parser.add_argument("--output", type=Path, default=default, help="where the table goes, too (.build/benchmark.md)")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    allow_descriptors(max(options.connections))
    text = ("Remora " * (options.size // 7 + 1))[: options.size]
    with contextlib.ExitStack() as parts:
        directory = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="remora-benchmark-")))
        output = directory / "backend.log"
        mode = ["--sse"] if options.sse else []
        command = (binary("legacy-demo"), "--listen", "127.0.0.1:0", *mode)
        backend = listening(parts.enter_context(running(*command, output=output)), output)
        milliseconds = start_up(backend, directory)

        certificate = Certificate.make(directory) if options.tls else None
        address, pid = parts.enter_context(nginx(backend, directory, certificate))
        request = legacy_request(backend, text)
        targets = [Target("nginx", address, pid, *request, directory / "nginx.lua", certificate)]
        programs = {"Remora": binary("remora")} | ({"before": options.before} if options.before else {})
        for name, path in programs.items():
            address, pid = parts.enter_context(remora(backend, directory, certificate, path, name))
            targets.append(Target(name, address, pid, *modern_request(text), directory / f"{name}.lua", certificate))
        for target in targets:
            target.write_script()
            target.verify(text)
            measure(target, 8, 1)  # Warm: connections to the backend are there, memory is mapped.

        results: dict[int, dict[str, Measurement]] = {}
        for connections in options.connections:
            rounds: dict[str, list[Measurement]] = {target.name: [] for target in targets}
            for number in range(options.rounds):
                for target in targets if number % 2 == 0 else reversed(targets):
                    print(f"{connections} connections, round {number + 1}, {target.name}", file=sys.stderr)
                    # Many connections take a while to be made.
                    seconds = max(options.duration, connections / 500)
                    rounds[target.name].append(measure(target, connections, seconds))
            results[connections] = {name: median(found) for name, found in rounds.items()}
        for target in targets:
            target.verify(text)

    answers = "event streams" if options.sse else "JSON documents"
    over = "over TLS, " if options.tls else ""
    report = (
        f"{options.size} bytes of text, {over}answered with {answers} by the backend; "
        f"{options.rounds} rounds of {options.duration:g} s; {os.cpu_count()} CPUs, {platform.machine()}, "
        f"{platform.system()} {platform.release()}.\n\n{table(results)}\n\n"
        f"Start of Remora to listening: {milliseconds:.1f} ms.\n"
    )
    print(report)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(report)
    if any(each.errors for by_name in results.values() for each in by_name.values()):
        sys.exit("there were errors: the figures mean nothing")


if __name__ == "__main__":
    main()
