"""Asks the contenders of an evaluation their questions; the caller decides in how many processes.

    for contender in cfg.contenders:
        evaluation = ask_contender(contender, cfg, opened, rows, folder)          # everything here, or
        shares = [ask_contender(..., share=(i, 2)) for i in range(2)]              # each in a process of its own: the same table, merged

One process with one thread per core is faster than one process with all threads (SmolLM2-135M, 2 cores). Results are kept in the folder by
the hash of all that decides them, so a stopped evaluation continues, and asking again what is done costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from raykg.eval.suites.kgqa import Evaluation, evaluate, sample

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.answer.opening import OpenedModel
    from raykg.eval.evaluation_config import Contender, EvaluationConfig


def ask_contender(
    contender: Contender,
    cfg: EvaluationConfig,
    opened: OpenedModel,
    rows: pa.Table,
    folder: Path,
    share: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Ask one contender its sample of `rows` and keep the results in `folder`.

    Args:
        contender: who answers, and how.
        cfg: the evaluation it belongs to: seed and batch.
        opened: the model that `contender.model` means (`raykg.answer.opening.open_base` or `open_model`) with its graph.
        rows: all test questions (`raykg.data.questions.QUESTION_SCHEMA`).
        folder: where results are kept; contenders may share it.
        share: (i, n) asks every n-th chunk from the i-th on; the shares merge to the whole (`Evaluation.merge`).
        progress: called with (rows done, rows of this share).
    """
    return evaluate(
        opened.strategy(contender.strategy),
        sample(rows, contender.questions, cfg.seed),
        contender.topics,
        folder=folder,
        identity=opened.identity,
        share=share,
        chunk=cfg.batch,
        progress=progress,
    )


def prompt_words(contender: Contender) -> str:
    """Return the words that a contender's model reads, with `{facts}` and `{question}` where a question's own stand; for the report."""
    words: str = contender.strategy.method().prompt_words(contender.strategy.config)
    return words
