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
"""What a peer got wrong and Remora passes on: whoever it is for says so better."""


def having(section: str) -> list[str]:
    return [name for name, texts in GOLDEN.items() if section in texts and name not in PASSED_ON]


@pytest.mark.parametrize("name", having("modern response"))
def test_modern_response(name: str) -> None:
    method = json.loads(GOLDEN[name]["modern request"])["method"]
    assert schema.response_errors(method, json.loads(GOLDEN[name]["modern response"])) == []


@pytest.mark.parametrize("name", having("legacy request"))
def test_legacy_request(name: str) -> None:
    revision = GOLDEN[name].get("revision", "2025-11-25")
    assert schema.client_message_errors(revision, json.loads(GOLDEN[name]["legacy request"])) == []


@pytest.mark.parametrize("name", having("initialize request"))
def test_initialize_request(name: str) -> None:
    assert schema.client_message_errors("2025-11-25", json.loads(GOLDEN[name]["initialize request"])) == []


@pytest.mark.parametrize("name", having("modern notifications"))
def test_modern_notifications(name: str) -> None:
    for line in GOLDEN[name]["modern notifications"].splitlines():
        assert schema.server_notification_errors(json.loads(line)) == []
