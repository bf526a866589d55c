"""The golden files of Tests/TranslationTests, against the specification's own schemas."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import schema

DIRECTORY = Path(__file__).resolve().parent.parent / "TranslationTests" / "Golden"


def sections(path: Path) -> dict[str, str]:
    """The texts of a golden file by name, as GoldenFile.swift describes them."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().split("\n")[2:-1]:
        if line.startswith("== "):
            found[line[3:]] = []
        elif found:
            list(found.values())[-1].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


GOLDEN = {path.stem: sections(path) for path in sorted(DIRECTORY.glob("*.txt"))}

PASSED_ON = {
    "notification-own",
    "request-completion-ref-not-an-object",
    "result-completion-odd",
    "result-tools-list-no-array",
    "result-tools-list-odd",
}
"""What a peer got wrong and Remora passes on: its receiver says so better."""


LOOSER = {"answer-elicitation-fraction"}
"""Where the generated schema.json says "integer" of what is "number" in schema.ts and client/elicitation."""


def having(section: str) -> list[str]:
    return [name for name, texts in GOLDEN.items() if section in texts and name not in PASSED_ON]


@pytest.mark.parametrize("name", having("modern response"))
def test_modern_response(name: str) -> None:
    method = json.loads(GOLDEN[name]["modern request"])["method"]
    assert schema.response_errors(method, json.loads(GOLDEN[name]["modern response"])) == []


@pytest.mark.parametrize("name", having("legacy request"))
def test_legacy_request(name: str) -> None:
    revision = GOLDEN[name].get("revision", "2025-11-25")
    if name.startswith("extension-"):
        # No revision has these methods.
        request = json.loads(GOLDEN[name]["legacy request"])
        assert schema.revision(revision).errors("JSONRPCRequest", request) == []
        return
    assert schema.client_message_errors(revision, json.loads(GOLDEN[name]["legacy request"])) == []


@pytest.mark.parametrize("name", having("legacy task request"))
def test_legacy_task_request(name: str) -> None:
    assert schema.client_message_errors("2025-11-25", json.loads(GOLDEN[name]["legacy task request"])) == []


@pytest.mark.parametrize("name", having("initialize request"))
def test_initialize_request(name: str) -> None:
    assert schema.client_message_errors("2025-11-25", json.loads(GOLDEN[name]["initialize request"])) == []


@pytest.mark.parametrize("name", having("modern notifications"))
def test_modern_notifications(name: str) -> None:
    for line in GOLDEN[name]["modern notifications"].splitlines():
        assert schema.server_notification_errors(json.loads(line)) == []


RESULTS = {
    "elicitation/create": "ElicitResult",
    "sampling/createMessage": "CreateMessageResult",
    "roots/list": "ListRootsResult",
}
"""What answers each method by which a legacy server asks."""


@pytest.mark.parametrize("name", having("modern response"))
def test_questions(name: str) -> None:
    result = json.loads(GOLDEN[name]["modern response"]).get("result", {})
    for question in result.get("inputRequests", {}).values():
        definition = schema.revision("2026-07-28").by_method("InputRequest", question["method"])
        assert definition is not None
        assert schema.revision("2026-07-28").errors(definition, question) == []


@pytest.mark.parametrize("section", ["legacy answers", "legacy refusals", "leftovers"])
@pytest.mark.parametrize("name", having("legacy questions"))
def test_answers_to_questions(name: str, section: str) -> None:
    questions = [json.loads(line) for line in GOLDEN[name]["legacy questions"].splitlines()]
    # 0, false and "0" are three ids.
    methods = {json.dumps(question["id"]): question["method"] for question in questions}
    revision = GOLDEN[name].get("revision", "2025-11-25")
    for line in GOLDEN[name].get(section, "").splitlines():
        answer = json.loads(line)
        assert schema.client_message_errors(revision, answer) == []
        method = methods[json.dumps(answer["id"])]
        if "result" in answer and name not in LOOSER:
            assert schema.revision(revision).errors(RESULTS[method], answer["result"]) == []


@pytest.mark.parametrize("name", having("required capabilities"))
def test_required_capabilities(name: str) -> None:
    required = json.loads(GOLDEN[name]["required capabilities"])
    assert required
    error = {"code": -32021, "message": "m", "data": {"requiredCapabilities": required}}
    assert schema.response_errors("tools/call", {"jsonrpc": "2.0", "id": 1, "error": error}) == []
