r"""The words around a question: what a model reads for each target, and the text form of a cited answer.

Prompts are short on purpose: on two CPU cores training is paid by the token, and a fine-tuned model needs a marker, not an instruction.
`Q:` and `A:` are the two words that an untrained model understands as well, so that the base model is measured with the same prompt.

    >>> plan_prompt("who directed Alien?")
    '\nwho directed Alien? =>'
    >>> print(read_prompt("who directed Alien?", ["Alien directed by Ridley Scott"]))
    1 Alien directed by Ridley Scott
    Q: who directed Alien?
    A:
    >>> parse_read_answer("Ridley Scott; Ron Shusett [1] [4]", n_facts=1)
    ReadAnswer(answers=('Ridley Scott', 'Ron Shusett'), citations=(1,), bad_citations=(4,))

A completion always starts with one space (`completion`), which byte-pair vocabularies fuse with the first word; prompt and completion are
tokenised apart and their ids joined, in training as in generation, so both see the same tokens.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

STOP = "\n"
"""Generation of any target ends here, or at the tokenizer's end-of-sequence token: no target holds a line break."""

PLAN_OPENER = "\n"
"""Begins a plan prompt, so that no word of the question is the sequence's first token.

Language models let attention rest on the first token, whatever it is (attention sinks, arXiv 2309.17453), which leaves less of what it
says: in three quickstarts without this, 11 of 105 questions with a name in front were planned wrong, in the first with it 1 of 35. Of all
500 it answered 480, against 474 with the same data before, where such runs differ by some five by chance. A line break is plain text, which
all engines take alike; a special token is not. A change here is a new `raykg.models.saved.FORMAT`.
"""

PLAN_MARKER = " =>"
"""Ends a plan prompt; one token of SmolLM2's vocabulary."""

_SPACES = re.compile(r"\s+")
_CITATIONS = re.compile(r"(?:\s*\[\s*\d+(?:\s*,\s*\d+)*\s*\])+\s*$")
_NUMBER = re.compile(r"\d+")
_ANSWER = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))\s*(?:;|$)')
_NEEDS_QUOTES = re.compile(r'^\s|\s$|[;"\[\]\\]|^$')


class ReadAnswer(NamedTuple):
    """What a `read` completion says: answers in order, the fact lines that it cites, and cited lines that do not exist."""

    answers: tuple[str, ...]
    citations: tuple[int, ...]
    bad_citations: tuple[int, ...]


def one_line(text: str) -> str:
    """Return the text with every run of white space turned into one space: a prompt's lines are its structure."""
    return _SPACES.sub(" ", text).strip()


def plan_prompt(question: str) -> str:
    """Return the prompt that is completed by a logical form's text."""
    return PLAN_OPENER + one_line(question) + PLAN_MARKER


def closed_book_prompt(question: str) -> str:
    """Return the prompt that asks for an answer from the model's own weights."""
    return f"Q: {one_line(question)}\nA:"


def read_prompt(question: str, facts: Sequence[str]) -> str:
    """Return the prompt that asks for an answer from numbered facts; without facts it is the closed-book prompt."""
    return "".join(fact_line(number, fact) for number, fact in enumerate(facts, start=1)) + closed_book_prompt(question)


def fact_line(number: int, fact: str) -> str:
    """Return one numbered line of a `read` prompt, line break included; `number` starts at 1."""
    return f"{number} {one_line(fact)}\n"


def completion(target: str) -> str:
    """Return a target's text as it follows a prompt; the end-of-sequence token is added as an id, not as text."""
    return " " + one_line(target)


def write_read_answer(answers: Sequence[str], citations: Sequence[int]) -> str:
    """Return the target text of a `read` row, such as `Ridley Scott; James Cameron [1] [3]`.

    Answers that hold `;`, brackets, quotes or outer spaces stand in double quotes with backslash escapes.
    """
    parts = [_quoted(one_line(answer)) for answer in answers]
    return "; ".join(parts) + "".join(f" [{number}]" for number in citations)


def parse_read_answer(text: str, n_facts: int) -> ReadAnswer:
    """Read a completion back; it never raises, whatever a model wrote.

    Only the brackets at the end of the first line count as citations. Answers and citations are each listed once, in the order of their
    first appearance.

    Args:
        text: The completion; what follows the first line break is ignored.
        n_facts: How many numbered facts the prompt held; citations of other lines are returned as bad.
    """
    lines = text.strip().splitlines()
    line = lines[0] if lines else ""
    found = _CITATIONS.search(line)
    body, cited = (line[: found.start()], found.group()) if found else (line, "")
    numbers = list(dict.fromkeys(int(number) for number in _NUMBER.findall(cited) if len(number) < 10))
    return ReadAnswer(
        answers=tuple(dict.fromkeys(answer for answer in _split(body) if answer)),
        citations=tuple(number for number in numbers if 1 <= number <= n_facts),
        bad_citations=tuple(number for number in numbers if not 1 <= number <= n_facts),
    )


def _quoted(answer: str) -> str:
    if not _NEEDS_QUOTES.search(answer):
        return answer
    return '"' + answer.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _split(body: str) -> list[str]:
    """Split at semicolons outside quotes; a quote that never closes, or closes within an answer, is an ordinary character."""
    answers: list[str] = []
    at = 0
    while at < len(body):
        found = _ANSWER.match(body, at)
        if found is None:  # cannot be: the second alternative takes anything; kept so that a changed pattern cannot loop
            break
        quoted, plain = found.groups()
        answers.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = found.end()
    return answers
