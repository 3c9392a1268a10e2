from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.lsp.settings.form import Form


@pytest.fixture
async def form(workspace: Path, home: Path, state: Path) -> AsyncIterator[Form]:
    """An editor with everything that it may have, in a folder that is trusted."""
    made = Form(workspace, home)
    yield made
    await made.close()
