"""Entity linking: which nodes of a graph a piece of text names.

    from raykg.kg.linking import Linker
    linker = Linker(graph)
    linker.link("joel zwick")[0].node
    [mention.text for mention in linker.mentions("which films did Joel Zwick direct?")]

`folding` says which spellings count as one, `index` is the memory-mapped table of names, `linker` finds the nodes of a name, `spans` finds
the names in a question.
"""

from raykg.kg.linking.folding import fold
from raykg.kg.linking.linker import Candidate, Linker, LinkingBudget
from raykg.kg.linking.spans import Mention

__all__ = ["Candidate", "Linker", "LinkingBudget", "Mention", "fold"]
