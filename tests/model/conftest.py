"""Both wires: what holds for one must hold for the other."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["chat", "responses"])
def wire(request: pytest.FixtureRequest) -> str:
    """Each API in turn."""
    return str(request.param)
