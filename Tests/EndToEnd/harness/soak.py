"""Tests of hard cases have two sizes: one for the gate, and the full one of `make soak`, which prints what it measured."""

from __future__ import annotations

import asyncio
import os
import statistics
import time

FULL = os.environ.get("REMORA_SOAK") == "full"


def size(gate: int, full: int) -> int:
    return full if FULL else gate


def tell(what: str) -> None:
    """A line that can be quoted; pytest shows it with -s, or when the test fails."""
    print(f"measured: {what}", flush=True)


def quantile(values: list[float], which: int) -> float:
    """The percentile, 1 to 99."""
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1]


def mebibytes(size: int) -> str:
    return f"{size / 1048576:.1f} MiB"


class Stalls:
    """For how long the test itself stood still (seconds), at most: what it measures of others is no better than that."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stalls:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.005)
            self.longest = max(self.longest, time.monotonic() - start - 0.005)
