"""What a model computed for the first tokens of prompts, kept for prompts that begin alike.

    prefixes = Prefixes(64 << 20)
    prefixes.keep(tokens, states)             # a prompt's keys and values
    found = prefixes.find(other)              # (how many first tokens are known, the states that hold them), or None
    prefixes.find(other, "films")             # None: what one adapter computed is not what another would

Questions about the same subgraph read the same facts before they differ, few-shot prompts and the turns of a chat begin alike, and the
`n` texts of one prompt share all of it. The states of a token depend on the tokens before it alone, so they are the same for all.

Source: as in the prefix caches of vLLM (Kwon et al., SOSP 2023, section 4.4) and SGLang (RadixAttention, Zheng et al., NeurIPS 2024); whole
prompts are kept instead of blocks, the longest unused goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    States = list[tuple[Tensor, Tensor]]

_Key = tuple[str | None, tuple[int, ...]]  # who computed it, and the tokens
SHORTEST = 16  # tokens; to copy a shorter prefix into a batch costs about what it costs to compute it


class Prefixes:
    """States of prompts, the least recently used dropped where they take more than `most` bytes.

    Abilities: any prompt finds the longest first part that it shares with any kept one of the same owner, which is what computed it: an
    adapter's name, or None for the model as it is.
    Not supported: sharing between processes, or between models: an owner whose weights change is another owner, and needs another name.
    """

    def __init__(self, most: int) -> None:
        """Hold nothing yet."""
        self.most = most
        self.bytes = 0
        self._kept: dict[_Key, tuple[NDArray[np.int64], States, int]] = {}  # the least recently used first

    def known(self, prompt: Sequence[int], owner: str | None = None) -> int:
        """Return how many first tokens of a prompt need not be computed; its last one always is, for what comes next depends on it."""
        return self._longest(prompt, owner)[0]

    def find(self, prompt: Sequence[int], owner: str | None = None) -> tuple[int, States] | None:
        """Return the same number and states of at least so many tokens, for each layer keys and values `[heads, tokens, size]`."""
        length, key = self._longest(prompt, owner)
        if key is None:
            return None
        entry = self._kept[key] = self._kept.pop(key)
        return length, entry[1]

    def keep(self, prompt: Sequence[int], states: States, owner: str | None = None) -> None:
        """Keep a prompt's states; one that alone is too big is not kept."""
        key = owner, tuple(prompt)
        size = sum(part.nbytes for layer in states for part in layer)
        if size > self.most or key in self._kept:
            return
        self._kept[key] = np.array(key[1], dtype=np.int64), states, size
        self.bytes += size
        while self.bytes > self.most:
            self.bytes -= self._kept.pop(next(iter(self._kept)))[2]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.bytes = 0

    def _longest(self, prompt: Sequence[int], owner: str | None) -> tuple[int, _Key | None]:
        own = np.array(prompt, dtype=np.int64)
        best, found = SHORTEST - 1, None
        for key, (tokens, _, _) in self._kept.items():
            most = min(len(own) - 1, len(tokens)) if key[0] == owner else 0
            if most > best and tokens[best] == own[best]:
                same = _same(own[:most], tokens[:most])
                if same > best:
                    best, found = same, key
        return (0, None) if found is None else (best, found)


def shared_by_several(prompts: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the first parts that several prompts share, the shortest first, each as long as it can be.

    A part that is all of a prompt leaves that prompt's last token out; parts of fewer than `SHORTEST` tokens are not listed.
    """
    ordered = [np.array(prompt, dtype=np.int64) for prompt in sorted(prompts)]
    found = set()
    for one, other in zip(ordered, ordered[1:], strict=False):
        most = min(len(one), len(other)) - 1
        same = _same(one[:most], other[:most])
        if same >= SHORTEST:
            found.add(tuple(one[:same].tolist()))
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _same(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return how many first numbers are equal."""
    differ = one != other
    return int(differ.argmax()) if differ.any() else len(one)
