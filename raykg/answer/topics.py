"""Topics: the nodes that a question is about, given with it or found in its words.

topic_nodes(Question("who directed Alien?"), linker)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raykg.answer.question import Question
    from raykg.kg.linking import Linker


def topic_nodes(question: Question, linker: Linker, limit: int = 3) -> list[int]:
    """Return the nodes given with a question, or the best candidate of each of the best mentions in it, at most `limit`."""
    if question.topic_ids is not None:
        return list(question.topic_ids)
    if question.topics is not None:
        found = [linker.link(name, 1) for name in question.topics]
        return list(dict.fromkeys(candidates[0].node for candidates in found if candidates))
    mentions = linker.mentions(question.text, limit)
    return list(dict.fromkeys(mention.candidates[0].node for mention in mentions if mention.candidates))
