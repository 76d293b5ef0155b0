import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.data import prompts
from raykg.data.prompts import STOP, completion, parse_read_answer, plan_prompt, read_prompt, write_read_answer

# One line of text, as labels are after `one_line`.
LINE = st.text(min_size=1, max_size=12).map(prompts.one_line).filter(bool)


def test_module_example_runs() -> None:
    assert doctest.testmod(prompts).failed == 0


@given(st.lists(LINE, max_size=5, unique=True), st.lists(st.integers(1, 40), max_size=5, unique=True))
def test_read_answers_come_back(answers: list[str], citations: list[int]) -> None:
    text = write_read_answer(answers, citations)
    parsed = parse_read_answer(text, n_facts=20)
    assert list(parsed.answers) == answers
    assert list(parsed.citations) == [c for c in citations if c <= 20]
    assert list(parsed.bad_citations) == [c for c in citations if c > 20]


@given(st.text(max_size=60), st.integers(0, 9))
def test_parsing_never_raises(text: str, n_facts: int) -> None:
    parsed = parse_read_answer(text, n_facts)
    assert all(1 <= c <= n_facts for c in parsed.citations)


@pytest.mark.parametrize(
    ("text", "answers", "citations", "bad"),
    [
        ("", (), (), ()),
        (" A; B [1] [3]", ("A", "B"), (1,), (3,)),
        ("A [1, 2]", ("A",), (1, 2), ()),
        ("A; A [1] [1]", ("A",), (1,), ()),
        ("A [1]\nQ: more", ("A",), (1,), ()),
        ('"A; B"; C [2]', ("A; B", "C"), (2,), ()),
        ('"A; B', ('"A', "B"), (), ()),
        ('"A" B; C', ('"A" B', "C"), (), ()),
        ("[1]", (), (1,), ()),
        ("A [0] [99999999999999]", ("A",), (), (0,)),
        ("[REC] 2 [1]", ("[REC] 2",), (1,), ()),
    ],
)
def test_parsing(text: str, answers: tuple[str, ...], citations: tuple[int, ...], bad: tuple[int, ...]) -> None:
    assert parse_read_answer(text, n_facts=2) == (answers, citations, bad)


@given(st.text(max_size=40))
def test_no_target_holds_the_stop(text: str) -> None:
    assert STOP not in completion(text)
    assert completion(text).startswith(" ")


def test_a_question_stays_one_line() -> None:
    assert plan_prompt(" who\n\tdirected  Alien? ") == "\nwho directed Alien? =>"
    assert read_prompt("q\nq", ["a\nb", "c"]).splitlines() == ["1 a b", "2 c", "Q: q q", "A:"]


def test_without_facts_read_is_closed_book() -> None:
    assert read_prompt("q", []) == prompts.closed_book_prompt("q")
