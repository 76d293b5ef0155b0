"""What a model that learns task after task remembers, forgets and carries over.

Paper: Gradient Episodic Memory for Continual Learning, NeurIPS 2017, arXiv 1706.08840 (backward and forward transfer);
Riemannian Walk for Incremental Learning, ECCV 2018, arXiv 1801.10112 (forgetting).

After each task the model is tested on the types of every task so far. With `score[t][j]` its F1 on the types of task j after task t:

    final         F1 on all types after the last task, counted together
    average       mean over t of the F1 on all types seen by then
    plasticity    mean over j of score[j][j]: how well a task is learnt when it is there
    forgetting    mean over j before the last of (best score[t][j] before the last task) - score[last][j]
    backward      mean over j before the last of score[last][j] - score[j][j]; below zero: forgotten
    forward       mean over j after the first of (score on task j before it is learnt) - (score of the untrained model)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raykg.eval.extraction import Ints, macro_f1, micro_f1


@dataclass(frozen=True, slots=True)
class Course:
    """What was counted along a stream of tasks.

    Attributes:
        groups: the places of each task's types.
        counts: after each task, of all types, `[types, 3]`; types that have not arrived are zero.
        before: of each task but the first, counts of its types just before it is learnt, labels of it opened; `[types, 3]`.
        untrained: the same by the untrained model.
    """

    groups: Sequence[Sequence[int]]
    counts: Sequence[Ints]
    before: Sequence[Ints] = ()
    untrained: Sequence[Ints] = ()

    def score(self, after: int, task: int) -> float:
        """Return the F1 on a task's types after another task."""
        return micro_f1(self.counts[after][list(self.groups[task])])

    def metrics(self) -> dict[str, float]:
        """Return every number of the module's docstring; those that need two tasks are left out where there is one."""
        last = len(self.counts) - 1
        found = {
            "final": micro_f1(self.counts[last]),
            "final_macro": macro_f1(self.counts[last]),
            "average": float(np.mean([micro_f1(one) for one in self.counts])),
            "plasticity": float(np.mean([self.score(task, task) for task in range(last + 1)])),
        }
        if last:
            best = [max(self.score(after, task) for after in range(task, last)) for task in range(last)]
            end = [self.score(last, task) for task in range(last)]
            own = [self.score(task, task) for task in range(last)]
            found["forgetting"] = float(np.mean(np.array(best) - np.array(end)))
            found["backward"] = float(np.mean(np.array(end) - np.array(own)))
        if self.before:
            pairs = list(zip(self.before, self.untrained, self.groups[1:], strict=True))
            found["forward"] = float(np.mean([micro_f1(now[list(kinds)]) - micro_f1(first[list(kinds)]) for now, first, kinds in pairs]))
        return found
