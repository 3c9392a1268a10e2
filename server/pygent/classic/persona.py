"""Who speaks, as Pygent 1.0 has it: a name and a description by position."""

from __future__ import annotations

from dataclasses import dataclass

from pygent import records


@dataclass
class Persona:
    """A persona; `description` says what it does, in words for the model."""

    name: str
    description: str = ""

    def record(self) -> records.Persona:
        """The same for the core."""
        return records.Persona(name=self.name, description=self.description)
