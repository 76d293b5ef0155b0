"""Searches all paths from a topic to exactly a set of answers, for many questions at once.

    search = PathSearch(table, max_hops=3)
    row, code = search.fits(topics, offsets, answers)     # every path that fits, with its question
    search.steps(code), search.away(code)

Every path of up to `max_hops` hops, in both directions, with and without `~`, is considered, and what is left out cannot fit:

* the last step must lead back from *all* answers;
* all that a path reaches must be answers, so one neighbour outside them refutes it. Before a hub is expanded, a few nodes that the path is
  known to reach (witnesses) are asked for such a neighbour; nearly all wrong paths end there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raykg.data.steps import Ints, StepTable
from raykg.data.walks import distinct_pairs

Bools = NDArray[np.bool_]

_CHUNK = 256  # questions at once: bounds memory, which hubs decide
_WITNESS_GROUPS = 4  # groups of a path's last step but one that are asked for a witness
_UNITS = (0.0, 0.5, 0.999)  # which neighbours of a group: first, middle, last


class PathSearch:
    """Finds paths by their results.

    Not supported: questions about several topics; answers that are counts.
    """

    def __init__(self, table: StepTable, max_hops: int = 3) -> None:
        """Search paths of one to `max_hops` hops."""
        self.table, self.max_hops = table, max_hops
        self._base = table.num_steps + 1

    def fits(self, topics: Ints, offsets: Ints, answers: Ints) -> tuple[Ints, Ints]:
        """Return every path whose result is exactly the answers: question and code; int64 `[fits]` each, sorted.

        Args:
            topics: node of each question, -1 where it is unknown; int64 `[questions]`.
            offsets: where each question's answers begin; int64 `[questions + 1]`.
            answers: nodes of the answers; -1 (unknown) makes a question fit nothing; int64 `[answers]`.
        """
        found = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
        for begin in range(0, len(topics), _CHUNK):
            end = min(begin + _CHUNK, len(topics))
            chunk = _Chunk(self.table, topics[begin:end], offsets[begin : end + 1] - offsets[begin], answers[offsets[begin] : offsets[end]])
            row, code = self._search(chunk)
            found.append((row + begin, code))
        rows, codes = (np.concatenate(columns) for columns in zip(*found, strict=True))
        order = np.lexsort((codes, rows))
        return rows[order], codes[order]

    def steps(self, codes: Ints) -> Ints:
        """Return the steps of coded paths, padded with -1; int64 `[codes, max_hops]`."""
        rest = codes >> 1
        return np.stack([rest // self._base**hop % self._base - 1 for hop in range(self.max_hops)], axis=1)

    def away(self, codes: Ints) -> Bools:
        """Tell which coded paths have `~`; bool `[codes]`."""
        return (codes & 1).astype(np.bool_)

    def code(self, steps: Ints, away: Bools) -> Ints:
        """Return the codes of paths; the inverse of `steps` and `away`."""
        total = np.zeros(len(steps), dtype=np.int64)
        for hop in range(steps.shape[1]):
            total += (steps[:, hop] + 1) * self._base**hop
        return 2 * total + away

    def _search(self, chunk: _Chunk) -> tuple[Ints, Ints]:
        live = np.flatnonzero(chunk.whole)
        prefix = np.concatenate([live, live])  # question of each path so far: first without `~`, then with it
        away = np.repeat(np.array([False, True]), len(live))
        code = away.astype(np.int64)
        owner, node = np.arange(len(prefix)), chunk.topics[prefix]
        rows, codes = [], []
        for hop in range(self.max_hops):
            place = 2 * self._base**hop
            path, group = self._groups(owner, node)
            step = self.table.step[group]
            last = chunk.may_be_last(prefix[path], step)
            fit_path, fit_step = self._exact(chunk, path[last], group[last], prefix, away)
            rows.append(prefix[fit_path])
            codes.append(code[fit_path] + (fit_step + 1) * place)
            if hop + 1 == self.max_hops:
                break
            key, longer = np.unique(path * self.table.num_steps + step, return_inverse=True)
            before, taken = key // self.table.num_steps, key % self.table.num_steps
            if hop + 2 == self.max_hops:
                hopeful = self._hopeful(chunk, longer, group, prefix[before], away[before])
                kept = hopeful[longer]
                number = np.cumsum(hopeful) - 1
                longer, group, before, taken = number[longer[kept]], group[kept], before[hopeful], taken[hopeful]
            edge, neighbour = self.table.expand(group)
            owner = longer[edge]
            prefix, away, code = prefix[before], away[before], code[before] + (taken + 1) * place
            stays = ~(away[owner] & (neighbour == chunk.topics[prefix[owner]]))
            owner, node = distinct_pairs(owner[stays], neighbour[stays], self.table.num_nodes)
        return np.concatenate(rows), np.concatenate(codes)

    def _groups(self, owner: Ints, node: Ints) -> tuple[Ints, Ints]:
        """Return all groups of the nodes, with the path that is at each."""
        place, group = self.table.groups_of(node)
        return owner[place], group

    def _exact(self, chunk: _Chunk, path: Ints, group: Ints, prefix: Ints, away: Bools) -> tuple[Ints, Ints]:
        """Return the paths and last steps whose whole result is the answers."""
        key, candidate = np.unique(path * self.table.num_steps + self.table.step[group], return_inverse=True)
        before = key // self.table.num_steps
        refuted = np.zeros(len(key), dtype=np.bool_)
        for unit in _UNITS:
            open_groups = np.flatnonzero(~refuted[candidate])
            owner = candidate[open_groups]
            neighbour = self.table.pick(group[open_groups], np.full(len(open_groups), unit))
            refuted[owner[chunk.outside(prefix[before[owner]], neighbour, away[before[owner]])]] = True
        kept = ~refuted[candidate]
        edge, neighbour = self.table.expand(group[kept])
        owner = candidate[kept][edge]
        question = prefix[before[owner]]
        left = ~(away[before[owner]] & (neighbour == chunk.topics[question]))
        owner, neighbour = distinct_pairs(owner[left], neighbour[left], self.table.num_nodes)
        question = prefix[before[owner]]
        inside = chunk.inside(question, neighbour)
        wrong = np.bincount(owner[~inside], minlength=len(key))
        right = np.bincount(owner[inside], minlength=len(key))
        fit = np.flatnonzero(~refuted & (wrong == 0) & (right == chunk.sizes[prefix[before]]) & (right > 0))
        return before[fit], key[fit] % self.table.num_steps

    def _hopeful(self, chunk: _Chunk, longer: Ints, group: Ints, question: Ints, away: Bools) -> Bools:
        """Tell which paths may still fit after one more step, by witnesses; bool `[paths]`."""
        order = np.argsort(longer, kind="stable")
        starts = np.searchsorted(longer[order], np.arange(len(question)))
        sizes = np.diff(np.append(starts, len(order)))
        picks = []
        for turn in range(_WITNESS_GROUPS):
            asked = np.flatnonzero(sizes > turn)
            chosen = group[order[starts[asked] + turn * sizes[asked] // max(_WITNESS_GROUPS, 1) % sizes[asked]]]
            picks += [(asked, self.table.pick(chosen, np.full(len(asked), unit))) for unit in _UNITS]
        path, node = (np.concatenate(columns) for columns in zip(*picks, strict=True))
        path, node = distinct_pairs(path, node, self.table.num_nodes)
        real = ~(away[path] & (node == chunk.topics[question[path]]))
        path, group = self._groups(path[real], node[real])
        step = self.table.step[group]
        last = chunk.may_be_last(question[path], step)
        path, group, step = path[last], group[last], step[last]
        key, candidate = np.unique(path * self.table.num_steps + step, return_inverse=True)
        refuted = np.zeros(len(key), dtype=np.bool_)
        for unit in _UNITS:
            neighbour = self.table.pick(group, np.full(len(group), unit))
            refuted[candidate[chunk.outside(question[path], neighbour, away[path])]] = True
        hopes = chunk.last_steps[question] - np.bincount(key[refuted] // self.table.num_steps, minlength=len(question))
        return np.asarray(hopes > 0)


class _Chunk:
    """Some questions with quick ways to ask about their answers."""

    def __init__(self, table: StepTable, topics: Ints, offsets: Ints, answers: Ints) -> None:
        self.table, self.topics = table, topics
        owner = np.repeat(np.arange(len(topics)), np.diff(offsets))
        unknown = np.bincount(owner[answers < 0], minlength=len(topics)) > 0
        owner, node = distinct_pairs(owner[answers >= 0], answers[answers >= 0], table.num_nodes)
        self._answers = owner * table.num_nodes + node
        self.sizes = np.bincount(owner, minlength=len(topics))
        self.whole = (topics >= 0) & ~unknown & (self.sizes > 0)
        place, group = table.groups_of(node)
        key, count = np.unique(owner[place] * table.num_steps + (table.step[group] ^ 1), return_counts=True)
        self._last = key[count == self.sizes[key // table.num_steps]]
        self.last_steps = np.bincount(self._last // table.num_steps, minlength=len(topics))

    def may_be_last(self, question: Ints, step: Ints) -> Bools:
        """Tell whether all answers of a question can be arrived at by a step."""
        return _contains(self._last, question * self.table.num_steps + step)

    def inside(self, question: Ints, node: Ints) -> Bools:
        """Tell whether a node is among a question's answers."""
        return _contains(self._answers, question * self.table.num_nodes + node)

    def outside(self, question: Ints, node: Ints, away: Bools) -> Bools:
        """Tell whether arriving at a node refutes a path: it is no answer, and not the topic that `~` leaves out."""
        return np.asarray(~self.inside(question, node) & ~(away & (node == self.topics[question])))


def _contains(ordered: Ints, wanted: Ints) -> Bools:
    if not len(ordered):
        return np.zeros(len(wanted), dtype=np.bool_)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)] == wanted)
