"""A backend that is killed and started again, over and over, under load: every caller is told what became of its call."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.http1 import Malformed
from harness.lab import Lab
from harness.modern import Answer, Client
from harness.remora import Remora, configuration
from harness.soak import size, tell

SECONDS = size(10, 60)
RATE = size(100, 200)
"""Calls a second. The server manages some hundred, when it has a processor for itself."""
LIFE = 2.0
"""Seconds between two kills."""
PATIENCE = 15.0
"""Seconds that a call may take before it counts as one that hangs."""


@dataclass
class Outcome:
    id: str
    tool: str
    seconds: float
    answer: Answer | None
    """None when no answer came."""
    problem: str = ""

    @property
    def reason(self) -> str:
        if self.answer is None:
            return self.problem
        if "result" in self.answer.json:
            return "answered"
        return str(self.data.get("reason", f"error {self.answer.code}"))

    @property
    def data(self) -> dict[str, Any]:
        """Of the error, if it is one."""
        data = self.answer.json.get("error", {}).get("data") if self.answer is not None else None
        return data if isinstance(data, dict) else {}


class Callers:
    """Send calls at a steady rate, whatever becomes of those before; connections are kept alive."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.outcomes: list[Outcome] = []
        self._idle: list[Client] = []

    async def run(self) -> None:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(SECONDS * RATE):
                await asyncio.sleep(max(0, start + number / RATE - time.monotonic()))
                group.create_task(self._call(number))
        for client in self._idle:
            await client.__aexit__()

    async def _call(self, number: int) -> None:
        id, tool = f"call-{number}", "book" if number % 2 else "add"
        arguments = {"id": id, "seconds": 0.05} if tool == "book" else {"a": number, "b": 1}
        client = self._idle.pop() if self._idle else Client(self.address)
        start = time.monotonic()
        answer, problem = None, ""
        try:
            answer = await client.call(tool, arguments, id=id, timeout=PATIENCE)
            self._idle.append(client)
        except (Malformed, OSError, TimeoutError) as error:
            problem = f"no answer: {type(error).__name__}"
        self.outcomes.append(Outcome(id, tool, time.monotonic() - start, answer, problem))


@pytest.mark.timeout(300)
async def test_a_backend_that_is_killed_under_load(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    kills = 0
    async with Lab("1.30.0", "--json", "--ledger", str(ledger)) as backend:
        async with Remora(configuration(f"http://{backend.address}/mcp")) as remora:
            callers = Callers(remora.address)
            load = asyncio.create_task(callers.run())
            while not load.done():
                done, _ = await asyncio.wait([load], timeout=LIFE)
                if not done:
                    await backend.kill()
                    kills += 1
                    await backend.start()
            await load
            async with Client(remora.address) as client:
                assert (await client.call("echo", {"text": "still there"})).text == "still there"
    judge(callers.outcomes, Counter(ledger.read_text().split()), kills)


def judge(outcomes: list[Outcome], ran: Counter[str], kills: int) -> None:
    reasons = Counter(outcome.reason for outcome in outcomes)
    slowest = max(outcome.seconds for outcome in outcomes)
    claims = [each for each in outcomes if each.data.get("dispatched") is False]
    tell(
        f"{len(outcomes)} calls in {SECONDS} s over {kills} kills: {dict(reasons.most_common())}; "
        f"the slowest took {slowest:.2f} s"
    )
    silent = [outcome for outcome in outcomes if outcome.answer is None]
    unclear = [each for each in outcomes if each.answer and "error" in each.answer.json and "dispatched" not in each.data]
    twice = [id for id, count in ran.items() if count > 1]
    broken = [each for each in claims if each.tool == "book" and ran[each.id]]
    unbooked = [each for each in outcomes if each.tool == "book" and each.reason == "answered" and not ran[each.id]]
    unknown = [each for each in outcomes if each.tool == "book" and each.data.get("dispatched") is True]
    tell(
        f"{len(claims)} said that they did not run, {len(broken)} of those are in the server's ledger; "
        f"{len(unknown)} said that they may have run, {sum(ran[each.id] for each in unknown)} of those did; "
        f"{len(twice)} ran twice, {len(unclear)} did not say, {len(silent)} got no answer"
    )
    assert [(each.id, each.problem) for each in silent] == []
    assert [(each.id, each.answer) for each in unclear] == []
    assert [(each.id, each.answer) for each in broken] == []
    assert [(each.id, each.answer) for each in unbooked] == []
    assert twice == []
    assert all(each.answer and each.answer.json["id"] == each.id for each in outcomes)
    wrong = [each for each in outcomes if each.reason == "answered" and not right(each)]
    assert [(each.id, each.answer) for each in wrong] == []
    assert reasons["answered"] >= 100 and kills >= 2, "too little happened to tell anything"


def right(outcome: Outcome) -> bool:
    """Whether the answer is the one to this call."""
    assert outcome.answer is not None
    if outcome.tool == "book":
        return outcome.answer.text == outcome.id
    return outcome.answer.result["structuredContent"] == {"sum": int(outcome.id.removeprefix("call-")) + 1}
