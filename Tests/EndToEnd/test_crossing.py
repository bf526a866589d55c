"""64 principals, half of them hostile, before a server that splits, delays and interleaves what it sends: no answer reaches
anybody but its caller, and none is missing. Callers and server are a native program (`Tests/Crossing`), which says what it found.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from harness.processes import ROOT, Process, binary
from harness.remora import Remora, configuration
from harness.soak import FULL, mebibytes, size, tell

ANSWERS = size(1_000_000, 5_000_000)
"""For each number of threads; the gate ends by time."""
SECONDS = size(4, 3600)
SEED = int(os.environ.get("CROSSING_SEED", "0")) or random.randrange(1, 1 << 48)


def crossing() -> str:
    """The program, which an older Remora's directory does not have."""
    try:
        return binary("crossing")
    except FileNotFoundError:
        places = [ROOT / ".build" / each / "crossing" for each in ("debug", "release")]
        return str(next(place for place in places if place.exists()))


async def forget(lines: list[str]) -> None:
    """A line for each request is more than a test can keep."""
    while True:
        await asyncio.sleep(1)
        del lines[:-1000]


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("threads", [1, 2])
async def test_no_answer_reaches_another(threads: int) -> None:
    async with await Process.start(crossing(), "serve", "--seed", str(SEED)) as server:
        url = f"http://{(await server.event('listening'))['address']}/mcp"
        sessions = {"max": 512, "max_per_principal": 64}
        text = configuration(url, sessions=sessions, threads=threads, log={"level": "info"})
        async with Remora(text) as remora:
            numbers = {"answers": ANSWERS, "seconds": SECONDS, "principals": 64, "connections": size(2, 8), "seed": SEED}
            options = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
            async with await Process.start(crossing(), "call", remora.address, *options) as callers:
                forgetting = asyncio.create_task(forget(remora.process.lines))
                status = await callers.wait(timeout=SECONDS + 60)
                forgetting.cancel()
                done = callers.events()[-1]
                complaints = [line for line in callers.lines if line.startswith("crossing:")]
            peak, descriptors = remora.peak(), remora.descriptors()
        assert server.running, "it is no part of the test that the server ends"
    tell(f"crossing, threads {threads}: {done}; {mebibytes(peak)} at most, {descriptors} descriptors at the end")
    assert done["event"] == "done" and done["seed"] == SEED
    assert (done["foreign"], done["missing"]) == (0, 0), "\n".join([f"CROSSING_SEED={SEED}", *complaints])
    assert status == 0 and done["attacks"] > 64
    assert not FULL or done["answers"] >= ANSWERS, "it took longer than an hour"
