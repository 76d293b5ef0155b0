"""Edit: what an edit of a live graph did, as its log record tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from raykg.kg.live.delta import Fact
from raykg.kg.live.overlay import version_text


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edit did.

    Attributes:
        sequence: of the log record; of an unrecorded duplicate, of the state that was looked at.
        version: of the graph then.
        outcome: `edited`, or `duplicate` where everything held already and nothing was changed.
        added, retracted: triple ids.
        duplicates: facts that held already.
    """

    sequence: int
    version: str
    outcome: Literal["edited", "duplicate"]
    added: tuple[int, ...] = ()
    retracted: tuple[int, ...] = ()
    duplicates: tuple[Fact, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Edit:
        """Return what a record did."""
        return cls(
            sequence=record["sequence"],
            version=version_text(record["base"], record["sequence"]),
            outcome="edited" if record["added"] or record["retracted"] else "duplicate",
            added=tuple(record["added"]),
            retracted=tuple(record["retracted"]),
            duplicates=tuple(Fact(*row) for row in record["duplicates"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the edit as JSON-able data."""
        lists = {"added": list(self.added), "retracted": list(self.retracted), "duplicates": [one._asdict() for one in self.duplicates]}
        return {"sequence": self.sequence, "version": self.version, "outcome": self.outcome, **lists}
