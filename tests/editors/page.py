"""The configurations that the pages of `docs/editors/` give."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY


def block(page: str, language: str, number: int = 0) -> str:
    """A code block of a page, exactly as a reader copies it."""
    text = (REPOSITORY / "docs" / "editors" / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)[number]  # type: ignore[no-any-return]
