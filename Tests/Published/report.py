"""The page that docs/ has of the comparison."""

from __future__ import annotations

from collections.abc import Sequence

from comparison import Comparison

HEAD = """# Published servers

What published servers give to the published legacy client (`mcp` 2.3.0 in its legacy mode) directly, and to the modern client
(2026-07-28) through Remora with its defaults. Results are compared call by call: the lists, the calls of `Tests/Published/table.py`,
and unknown names. One client declares nothing, one declares elicitation, sampling and roots. `make published` writes this page.

{servers} servers in {ways} set-ups gave {calls} results: {alike} are alike, {explained} differ for a reason, {unexplained} without one.

| server | of | transport | calls | alike | differs, because |
|---|---|---|---|---|---|
"""


def page(found: Sequence[Comparison]) -> str:
    calls = sum(each.calls for each in found)
    alike = calls - sum(len(each.differences) for each in found)
    servers = len({each.server.name for each in found})
    unexplained = sum(difference.reason is None for each in found for difference in each.differences)
    numbers = {"servers": servers, "ways": len(found), "calls": calls, "alike": alike, "unexplained": unexplained}
    return HEAD.format(explained=calls - alike - unexplained, **numbers) + "".join(row(each) for each in found)


def row(found: Comparison) -> str:
    server = found.server
    because: dict[str, int] = {}
    for each in found.differences:
        because[each.reason or "**unknown**"] = because.get(each.reason or "**unknown**", 0) + 1
    said = "; ".join(f"{number} × {why}" for why, number in because.items()) or found.failure.replace("|", "/") or "—"
    alike = found.calls - len(found.differences)
    return f"| {server.name} | {server.language} | {server.transport} | {found.calls} | {alike} | {said} |\n"
