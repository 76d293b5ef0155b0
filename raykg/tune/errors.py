"""What can be wrong with a sweep."""

from raykg.config.errors import RaykgError


class TuneError(RaykgError):
    """A sweep cannot be started, continued or judged; the message says why and what to do."""
