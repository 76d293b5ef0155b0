"""What can go wrong with encoders of texts and pictures."""

from __future__ import annotations

from raykg.config.errors import RaykgError


class EncoderError(RaykgError):
    """Raised where an encoder is not of a kind that is known here, or two streams do not fit together."""
