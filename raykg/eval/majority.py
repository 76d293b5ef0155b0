"""The majority baseline: to every question of a kind, the answer that training rows of that kind have most often.

A model that knows nothing but the kind of a question scores this much, so every table carries it. Hits@1 and the text metrics get the
most frequent single answer, set match and set F1 the most frequent set; ties go to the first in alphabetical order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykg.eval.answers import Said

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATOR = "\x1f"  # the ASCII unit separator; no name of a graph holds it (it is a control character)


@dataclass(frozen=True, slots=True)
class Majority:
    """Most frequent answer and answer set for each kind, and over all kinds for a kind that training lacks (key "")."""

    answers: dict[str, str]
    sets: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, rows: pa.Table) -> Majority:
        """Count the columns `kind` and `answers` of training rows (`raykg.data.questions.QUESTION_SCHEMA`)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        kinds, answers = rows["kind"].combine_chunks(), rows["answers"].combine_chunks()
        singles = pa.table({"kind": kinds.take(pc.list_parent_indices(answers)), "said": pc.list_flatten(answers)})
        sets = pa.table({"kind": kinds, "said": pc.binary_join(answers, _SEPARATOR)})
        return cls(_most_frequent(singles), {kind: _split(joined) for kind, joined in _most_frequent(sets).items()})

    def says(self, kind: str) -> Said:
        """Return the most frequent single answer of a kind."""
        found = self.answers.get(kind, self.answers.get(""))
        return Said(() if found is None else (found,))

    def says_set(self, kind: str) -> Said:
        """Return the most frequent answer set of a kind."""
        return Said(self.sets.get(kind, self.sets.get("", ())))


def _split(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(_SEPARATOR)) if joined else ()


def _most_frequent(said: pa.Table) -> dict[str, str]:
    """Return for each kind, and for all together under "", the most frequent value of the column `said`."""
    import pyarrow as pa

    everything = said.set_column(0, "kind", pa.repeat(pa.scalar("", pa.string()), said.num_rows))
    both = pa.concat_tables([said, everything])
    counted = both.group_by(["kind", "said"]).aggregate([("said", "count")])
    ordered = counted.sort_by([("kind", "ascending"), ("said_count", "descending"), ("said", "ascending")])
    first = ordered.group_by("kind", use_threads=False).aggregate([("said", "first")])
    return dict(zip(first["kind"].to_pylist(), first["said_first"].to_pylist(), strict=True))
