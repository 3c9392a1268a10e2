"""Which message of the session a section of the document is: people edit and delete what was said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pygent.events import AnyEvent, Envelope, Message, TurnStarted
from pygent.lsp.conversations.markdown import Section, neutral


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message of the person's, and the events that followed until the next one.

    One that `steers` joined the turn of the message before.
    """

    turn_id: str
    text: str
    steers: bool
    events: list[AnyEvent] = field(default_factory=list)


def exchanges(envelopes: Iterable[Envelope]) -> list[Exchange]:
    """What was said in a session, in order."""
    found: list[Exchange] = []
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, TurnStarted) or (isinstance(event, Message) and event.role == "user"):
            found.append(Exchange(envelope.turn_id or "", event.text, isinstance(event, Message)))
        elif found:
            found[-1].events.append(event)
    return found


def same(section: str, message: str) -> bool:
    """Whether a message is what a section says, with or without attachments below it."""
    one, other = neutral(section).strip(), neutral(message).strip()
    return one == other or other.startswith(f"{one}\n\n")


def aligned(sections: Sequence[Section], known: Sequence[Exchange]) -> list[int | None]:
    """For each section of the person's the exchange that it began, None for what was not said like this."""
    found: list[int | None] = []
    start = 0
    for section in sections:
        match = next((n for n in range(start, len(known)) if same(section.text, known[n].text)), None)
        found.append(match)
        start = start if match is None else match + 1
    return found


def edited(sections: Sequence[Section], index: int, known: Sequence[Exchange]) -> int:
    """The exchange that a section which was not said like this stands for; `len(known)` for a new message."""
    places = aligned(sections[:index], known)
    for before in range(index - 1, -1, -1):
        if (place := places[before]) is not None:
            return min(place + index - before, len(known))
    return min(index, len(known))
