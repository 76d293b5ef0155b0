"""Parts of a fine-tuning's config, for the jobs that do a part of its work: the graph, the questions, another evaluation.

    run: {name: quickstart}
    graph: {source: "builtin:movies"}

The sections are the same as in a fine-tuning's config, so a run of that name and storage finds what these jobs made. A whole config of a
fine-tuning does as well.
"""

from __future__ import annotations

from raykg.config.schema import config, field
from raykg.data.questions_config import QuestionsConfig
from raykg.eval.evaluation_config import EvaluationConfig
from raykg.kg.source import GraphConfig
from raykg.train.settings import RunConfig


@config
class GraphJobConfig:
    """Imports or builds a graph; `raykg kg import` reads it."""

    run: RunConfig = field(default_factory=RunConfig)
    graph: GraphConfig


@config
class QuestionsJobConfig:
    """Makes the question sets of a run; `raykg questions` reads it."""

    run: RunConfig = field(default_factory=RunConfig)
    graph: GraphConfig
    questions: QuestionsConfig


@config
class EvaluationJobConfig:
    """Measures a finished run by other contenders than its own; `raykg evaluate` reads it."""

    run: RunConfig
    evaluation: EvaluationConfig
