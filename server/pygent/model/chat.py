"""The wire of chat completions, which all compatible servers speak."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pygent.model import Listener, Prompt
from pygent.model.adapt import LEFT_OUT
from pygent.model.fold import ChatFold
from pygent.model.shapes import shaped
from pygent.model.wires import Options


class ChatWire:
    """`POST /chat/completions`.

    Optional fields are few: each is refused by somebody.
    """

    path = "/chat/completions"

    def __init__(self, options: Options) -> None:
        self._options = options

    def body(self, prompt: Prompt, learnt: Mapping[str, str]) -> bytes:
        """The request, with the messages' bytes as they are wherever the endpoint takes them so."""
        streams = learnt.get("stream") != "off"
        parts = [
            b'{"model":',
            msgspec.json.encode(prompt.model),
            b',"stream":',
            b"true" if streams else b"false",
        ]
        if streams and learnt.get("stream_options") != LEFT_OUT:
            parts.append(b',"stream_options":{"include_usage":true}')
        limit = learnt.get("max_tokens", "max_tokens")
        if self._options.max_tokens is not None and limit != LEFT_OUT:
            parts.append(b',"%s":%d' % (limit.encode(), self._options.max_tokens))
        if self._options.reasoning_effort is not None and learnt.get("reasoning_effort") != LEFT_OUT:
            parts += [b',"reasoning_effort":', msgspec.json.encode(self._options.reasoning_effort)]
        if prompt.tools is not None:
            parts += [b',"tools":', prompt.tools]
        messages = shaped(prompt.messages, learnt)
        return b"".join([*parts, b',"messages":[', b",".join(messages), b"]}"])

    def fold(self, listener: Listener) -> ChatFold:
        """A reader for the answer."""
        return ChatFold(listener)
