"""A balancer that knows connections and nothing in them: each new one goes to the next copy of a server."""

from __future__ import annotations

import asyncio
import itertools
import random

from .tap import Tap


class ByConnection(Tap):
    """Remembers what goes through it, as a tap does."""

    def __init__(self, *copies: str) -> None:
        super().__init__(copies[0])
        self._turns = itertools.cycle(copies)

    def next_upstream(self) -> str:
        return next(self._turns)

    async def cut(self, most: int | None = None) -> None:
        """Ends every connection, as a balancer does that is replaced; or so many of them, any."""
        tasks = list(self._tasks)
        if most is not None:
            tasks = random.sample(tasks, min(most, len(tasks)))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # Sockets are closed later than writers.
