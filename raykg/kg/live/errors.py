"""What can go wrong with a live graph, one class per outcome; `code` is what programs tell them apart by."""

from __future__ import annotations

from raykg.kg.errors import KgError


class LiveError(KgError):
    """Raised for every problem with a live graph; an edit that raises it changed nothing, unless it says otherwise."""

    code = "invalid_edit"


class Contradiction(LiveError):
    """Raised when a functional relation would get a second tail; names the one that is there."""

    code = "contradiction"


class MissingFact(LiveError):
    """Raised when a fact is to be retracted that the graph does not have."""

    code = "missing_fact"


class AmbiguousName(LiveError):
    """Raised when several nodes have the name that an edit gives instead of a key; lists their keys."""

    code = "ambiguous_name"


class ReviewConflict(LiveError):
    """Raised when somebody else has decided about a proposal already; names who and when."""

    code = "review_conflict"


class UnknownProposal(LiveError):
    """Raised when there is no proposal with an id."""

    code = "unknown_proposal"


class KeyConflict(LiveError):
    """Raised when an idempotency key comes again with another request."""

    code = "idempotency_conflict"


class TooManyProposals(LiveError):
    """Raised when so many proposals wait for review that no more are taken."""

    code = "too_many_proposals"


class Fenced(LiveError):
    """Raised when a newer owner has taken over; the edit may or may not be in its log, ask again with the same idempotency key."""

    code = "fenced"


class DamagedLog(LiveError):
    """Raised when a record of the log is missing, altered or belongs to another graph; names the file and the next step."""

    code = "damaged_log"


class NotReached(LiveError):
    """Raised when a state that was asked for is not here in time."""

    code = "version_not_reached"


class QueryRefused(LiveError):
    """Raised when a SPARQL text is no query, or one that reads from elsewhere or writes."""

    code = "query_refused"


class QueryStopped(LiveError):
    """Raised when a SPARQL query took longer or more memory than its budget; its process was killed."""

    code = "query_stopped"


class QueryBusy(LiveError):
    """Raised when all query processes are busy for longer than a query waits."""

    code = "query_busy"
