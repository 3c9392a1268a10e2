"""Images for models that can see."""

from __future__ import annotations

from typing import ClassVar

from pygent.errors import ToolError
from pygent.tools import Arguments, Result, ToolContext
from pygent.tools.files import PathArgument

MAX_IMAGE = 10 * 1024 * 1024
SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
)


class ReadImage(Arguments):
    """Look at an image file (PNG, JPEG, GIF or WebP)."""

    name: ClassVar[str] = "read_image"
    parallel: ClassVar[bool] = True
    path: PathArgument

    def title(self) -> str:
        """The file."""
        return f"Look at {self.path}"

    async def run(self, context: ToolContext) -> Result:
        """Store the image's bytes as they are now and show them to the model."""
        data = context.workspace.read_bytes(context.workspace.resolve(self.path), MAX_IMAGE)
        name = context.store_image(data, image_type(data, self.path))
        return Result(f"The image {self.path} follows.", image=name)


def image_type(data: bytes, name: str) -> str:
    """The image's type by its first bytes, whatever its name says.  Raises ToolError."""
    for signature, kind in SIGNATURES:
        if data.startswith(signature) and (kind != "webp" or data[8:12] == b"WEBP"):
            return kind
    raise ToolError(f"{name} is not a PNG, JPEG, GIF or WebP image.")


TOOLS = (ReadImage,)
