"""Checkpoints on their way to a bucket, while training goes on.

    uploads = Uploads(root, ranks, keep=2)
    uploads.begin(final)                        # at a save; of a folder that all workers see there is nothing to do
    if uploads.open and nobody_is(uploads.pending): uploads.complete()

Each machine brings its own files there in a thread. When all have, the first worker brings the manifest, which says that the checkpoint is
whole: until then a run that is resumed finds the one before it.
"""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from raykg.kg import mirror
from raykg.train import checkpoint

if TYPE_CHECKING:
    from raykg.train.ranks import Ranks


class Uploads:
    """Brings one checkpoint after the other to the bucket that a run's folder stands for. Every worker calls each method.

    Args:
        root: folder of the checkpoints.
        ranks: the workers.
        keep: how many of the newest are kept, beside the best.
    """

    def __init__(self, root: Path, ranks: Ranks, keep: int) -> None:
        self._root = root
        self._ranks = ranks
        self._keep = keep
        self._final: Path | None = None
        self._leads = False
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    @property
    def open(self) -> bool:
        """Whether a checkpoint is on its way; the same on every worker."""
        return self._final is not None

    @property
    def pending(self) -> bool:
        """Whether this process is still bringing files there."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, final: Path, leads: bool) -> None:
        """Set a checkpoint off that is whole on its machines.

        Args:
            final: its folder.
            leads: whether this worker brings its machine's files.
        """
        if not mirror.stands_for_a_bucket(self._root):
            return
        self._final, self._leads = final, leads
        if leads:
            self._thread = Thread(target=self._bring, args=(final,), name="upload", daemon=True)
            self._thread.start()

    def complete(self) -> None:
        """Wait until every machine's files are there, bring the manifest, and delete what is not kept.

        Raises:
            CheckpointError: the bucket does not take it.
        """
        if self._final is None:
            return
        final, self._final = self._final, None
        with checkpoint.writing(self._root, checkpoint.step_of(final)):
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            if self._error is not None:
                raise self._error
            self._ranks.barrier()
            if self._ranks.first:
                mirror.keep(final / checkpoint.MANIFEST)
        if self._leads:
            checkpoint.prune(self._root, self._keep, checkpoint.step_of(final), self._ranks.first)
        self._ranks.barrier()

    def _bring(self, final: Path) -> None:
        try:
            mirror.keep(final, without=[checkpoint.MANIFEST])
        except BaseException as error:  # whatever it is, the manifest must not follow
            self._error = error
