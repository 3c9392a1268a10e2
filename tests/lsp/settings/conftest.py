from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.lsp.settings.form import Form
from tests.lsp.settings.pipes import POOL


@pytest.fixture(scope="package", autouse=True)
def pool() -> Iterator[None]:
    """The servers that the tests share are shut down after the last of them."""
    yield
    POOL.close()


@pytest.fixture
async def form(workspace: Path, home: Path, state: Path) -> AsyncIterator[Form]:
    """An editor with everything that it may have, in a folder that is trusted."""
    made = Form(workspace, home)
    yield made
    await made.close()
