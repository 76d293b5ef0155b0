"""What can go wrong with questions, their files and their plans."""

from __future__ import annotations

from raykg.config.errors import RaykgError


class DataError(RaykgError):
    """Raised for every problem with questions, wordings and the sets they are kept in."""


class WordingError(DataError):
    """Raised when a wordings file does not say what it must; names the file and the key."""


class QuestionFileError(DataError):
    """Raised when a user's question file cannot be read, or has more bad rows than allowed."""


class DamagedQuestionSet(DataError):
    """Raised when a file of a question set is missing, truncated or altered; names the file."""


class PostError(DataError):
    """Raised when posts, their pictures or the stream made of them are not what they must be; names the file or the post."""


class PictureError(DataError):
    """Raised when a picture cannot be used; says why."""
