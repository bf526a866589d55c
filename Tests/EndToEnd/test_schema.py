"""`remora schema`: a JSON Schema that takes every configuration that Remora takes."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from harness.processes import binary
from harness.remora import check, configuration
from test_packaging import CONFIGURATIONS

BACKEND = "http://127.0.0.1:9/mcp"


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors read files: PyYAML has 1.1, in which `off` is false and 0660 octal."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for tag, expression, first in (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+)$", list("-+0123456789")),
    ("float", r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$", list("-+.0123456789")),
):
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(expression), first)
# Decimal, whatever its first digit is.
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    done = subprocess.run([binary("remora"), "schema"], capture_output=True, check=True, timeout=10)
    schema = json.loads(done.stdout)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def mistakes(validator: Draft7Validator, text: str) -> list[str]:
    return [error.json_path for error in validator.iter_errors(yaml.load(text, Core))]  # noqa: S506


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_takes_every_configuration_that_is_shipped(validator: Draft7Validator, name: str) -> None:
    assert mistakes(validator, CONFIGURATIONS[name]) == []


RIGHT = {
    "environment": "backends: [{url: '${URL}'}]\nthreads: ${COUNT}\nlimits: {max_body: '${A}${B}', body_timeout: '${T}s'}",
    "command": "backends: [{command: [/bin/true, --port, 80], env: {A: 1, B: true, C: x}, cwd: /}]\nsessions: {isolate_by: []}",
    "empty sections": "backends: [{url: http://b}]\nlisten:\nclients:\nlog: {}",
    "quoted numbers": "backends: [{url: http://b, calls_at_once: '3'}]\nthreads: '1'\nlisten: {socket_mode: '0600'}",
    "bare numbers": "backends: [{url: http://b}]\nlimits: {max_body: 65536, shutdown_timeout: 0, max_depth: 8}\ncache: {ttl: 0}",
    "off": "backends: [{url: http://b}]\nadmin: {address: off}\ntasks: {promote: off}\nreplicas: {id: off, cues: off}",
    "addresses": "backends: [{url: 'unix:/run/a.sock:/mcp'}]\nlisten: {address: '[::1]:80'}\nadmin: {address: ':9908'}",
    "headers": (
        "backends: [{url: 'https://b:1/x?y=z', headers: {forward: [X-Api-Key], set: {x-a: 1}, add: [forwarded]}}]\n"
        "listen: {allowed_origins: ['*', https://a.example:8443], allowed_hosts: [a.example, '[::1]:80']}"
    ),
    "clients": "backends: [{url: http://b, roots: [file:///a]}]\nclients: [{name: a, client_capabilities: [roots]}]",
    "store": "backends: [{url: http://b}]\nstore: {url: redis://127.0.0.1:6379/1, password: 12345, prefix: 'x:'}",
}


@pytest.mark.parametrize("name", RIGHT)
async def test_it_takes_what_remora_takes(
    validator: Draft7Validator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable, value in {"URL": BACKEND, "COUNT": "2", "A": "4", "B": "MiB", "T": "3"}.items():
        monkeypatch.setenv(variable, value)
    assert mistakes(validator, RIGHT[name]) == []
    if name != "store":  # Which wants replicas and their keys.
        status, printed = await check(RIGHT[name])
        assert status == 0, printed


WRONG = {
    "nothing": ("{}", "$"),
    "no backend": ("backends: []", "$.backends"),
    "no way to a server": ("backends: [{era: legacy}]", "$.backends[0]"),
    "an empty command": ("backends: [{command: []}]", "$.backends[0]"),
    "unknown section": (configuration(BACKEND, sesions={}), "$"),
    "unknown key": (configuration(BACKEND, limits={"max_bodi": "1MiB"}), "$.limits"),
    "unknown key of a backend": ("backends: [{url: http://b, x: 1}]", "$.backends[0]"),
    "scheme": ("backends: [{url: ftp://b/mcp}]", "$.backends[0].url"),
    "password in a URL": ("backends: [{url: 'http://u:p@b/'}]", "$.backends[0].url"),
    "size": (configuration(BACKEND, limits={"max_body": "4MB"}), "$.limits.max_body"),
    "bare size out of range": (configuration(BACKEND, limits={"max_body": 1}), "$.limits.max_body"),
    "time": (configuration(BACKEND, limits={"body_timeout": "1h30m"}), "$.limits.body_timeout"),
    "time without a unit": (configuration(BACKEND, limits={"body_timeout": 5}), "$.limits.body_timeout"),
    "number": (configuration(BACKEND, threads=65), "$.threads"),
    "boolean": ("backends: [{url: http://b, interactive: yes}]", "$.backends[0].interactive"),
    "choice": (configuration(BACKEND, log={"level": "warn"}), "$.log.level"),
    "choice in a list": (configuration(BACKEND, listen={"tolerate": ["all"]}), "$.listen.tolerate[0]"),
    "address": (configuration(BACKEND, listen={"address": "localhost"}), "$.listen.address"),
    "text for a list": (configuration(BACKEND, sessions={"isolate_by": "authorization"}), "$.sessions.isolate_by"),
    "list for a value": (configuration(BACKEND, threads=[1]), "$.threads"),
    "text for a section": (configuration(BACKEND, limits="none"), "$.limits"),
    "name of a variable": ("backends: [{command: [a], env: {1A: x}}]", "$.backends[0].env"),
    "client without a name": ("backends: [{url: http://b}]\nclients: [{roots: []}]", "$.clients[0]"),
    "file mode": (configuration(BACKEND, listen={"socket_mode": 999999}), "$.listen.socket_mode"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_it_refuses_what_remora_refuses(validator: Draft7Validator, name: str) -> None:
    text, path = WRONG[name]
    status, printed = await check(text)
    assert status == 64, printed
    assert path in mistakes(validator, text)


def test_every_value_says_what_it_must_be(validator: Draft7Validator) -> None:
    limits = validator.schema["properties"]["limits"]["properties"]
    assert limits["max_body"]["description"] == (
        "Must be a size such as 65536, 512KiB, 8MiB or 1GiB (1KiB to 1GiB)."
    )
    assert limits["max_depth"]["description"] == "Must be a whole number between 8 and 1024."
