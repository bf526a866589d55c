"""The common cases before two copies of a real server, with nginx between, which goes by a cookie."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from common_cases import *  # noqa: F403  # On this file's `any_lab`.
from harness import lab
from harness.lab import AnyLab


@pytest.fixture(scope="module", params=lab.FEW, ids="-".join)
async def any_lab(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[AnyLab]:
    async for it in lab.balanced(*request.param):
        yield it
