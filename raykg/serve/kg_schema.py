"""What the routes of the graph take: pydantic models that refuse what they do not know."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_Key = Annotated[str, Field(min_length=1, max_length=1000)]
_Text = Annotated[str, Field(min_length=1, max_length=10_000)]
_Reason = Annotated[str, Field(max_length=2000)]
_Piece = _Text | Annotated[dict[Annotated[str, Field(max_length=100)], str | int | float | bool | None], Field(max_length=20)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NamesBody(_Request):
    """Names of a new entity; of a new relation only the label."""

    label: _Key | None = None
    aliases: Annotated[list[_Key], Field(max_length=50)] | None = None
    description: _Text | None = None
    type: _Key | None = None


class FactBody(_Request):
    """A fact by names or keys; `datatype` is the tail's, where it is a literal and the relation does not say so itself."""

    head: _Key
    relation: _Key
    tail: _Text
    datatype: _Key | None = None


class ProposalBody(FactBody):
    """A fact for review; head or tail may be `?`, and whoever accepts it fills it in."""

    evidence: _Text | Annotated[list[_Piece], Field(max_length=20)] | None = None
    allow_new: bool = False
    names: Annotated[dict[_Key, NamesBody], Field(max_length=10)] | None = None

    def pieces(self) -> list[Any]:
        """Return the evidence as a list."""
        return [self.evidence] if isinstance(self.evidence, str) else list(self.evidence or [])


class AcceptBody(_Request):
    """A reviewer's yes; `head` or `tail` fills a `?`."""

    reason: _Reason = ""
    replace: bool = False
    head: _Key | None = None
    tail: _Text | None = None


class RejectBody(_Request):
    """A reviewer's no."""

    reason: _Reason = ""


class EditBody(_Request):
    """Facts to retract and to add, together or not at all."""

    add: Annotated[list[FactBody], Field(max_length=1000)] = []
    retract: Annotated[list[FactBody], Field(max_length=1000)] = []
    why: _Reason = ""
    replace: bool = False
    allow_new: bool = False
    names: Annotated[dict[_Key, NamesBody], Field(max_length=1000)] | None = None


class QueryBody(_Request):
    """A SPARQL query."""

    sparql: Annotated[str, Field(min_length=1, max_length=10_000)]


def plain(body: BaseModel) -> dict[str, Any]:
    """Return a body as a dictionary without what was left out."""
    found: dict[str, Any] = body.model_dump(exclude_none=True)
    return found
