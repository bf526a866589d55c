"""The common cases before two copies of a real server, with nginx between, which goes by a cookie."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from common_cases import *  # noqa: F403  # On this file's `running`.
from harness import lab
from harness.lab import AnyLab
from harness.stack import Stack, stack


@pytest.fixture(scope="module", params=lab.FEW, ids="-".join)
async def any_lab(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[AnyLab]:
    async for it in lab.balanced(*request.param):
        yield it


@pytest.fixture
async def running(any_lab: AnyLab) -> AsyncIterator[Stack]:
    async with stack(any_lab.address, way=any_lab.way) as it:
        yield it
