"""The errors of the training room."""

from __future__ import annotations

from raykg.config.errors import RaykgError


class TrainError(RaykgError):
    """Training cannot start or go on; the message says why and what to do."""


class CheckpointError(TrainError):
    """A checkpoint is incomplete, altered or of another set-up; the message names the file."""


class NonFiniteLoss(TrainError):
    """The loss of a step, or its gradient, is not a finite number."""


class StageChanged(TrainError):
    """A run of this name exists with other settings; the message names the keys that differ."""
