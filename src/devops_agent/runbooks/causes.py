"""The vocabulary of causes, and which of two causes lies underneath the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("causes.yaml")


@dataclass(frozen=True)
class Causes:
    """Meanings by id, ranks of the symptoms (1 lies outermost), what each cause beats, and what is planned for it."""

    meanings: dict[str, str]
    areas: dict[str, str]
    symptoms: dict[str, int] = field(default_factory=dict)
    beats: dict[str, list[str]] = field(default_factory=dict)
    planned: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def explains(self, inner: str, outer: str) -> bool:
        """Whether `inner`, where both are seen, is the reason for `outer` (or its more exact name).

        Two that each name the other explain neither: their own words and places decide.
        """
        if inner == outer:
            return False
        if outer in self.beats.get(inner, ()):
            return inner not in self.beats.get(outer, ())
        if inner in self.beats.get(outer, ()):
            return False
        rank = self.symptoms.get(outer)
        return rank is not None and self.symptoms.get(inner, 99) > rank


def from_data(data: dict[str, Any]) -> Causes:
    """The vocabulary from the parsed file."""
    areas = {cause: area for area, group in data["causes"].items() for cause in group}
    meanings = {cause: meaning for group in data["causes"].values() for cause, meaning in group.items()}
    return Causes(meanings, areas, data.get("symptoms", {}), data.get("beats", {}), data.get("planned", {}))


def read_data() -> dict[str, Any]:
    """The file's content as it is written."""
    from devops_agent.yamlfile import read

    data: dict[str, Any] = read(FILE)
    return data
