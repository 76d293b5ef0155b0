"""Closed-book answers are what the model wrote, in its order, and nothing more."""

from types import SimpleNamespace

import pytest

from raykg.answer.question import Question
from raykg.answer.strategies.closed_book import ClosedBook, Config
from raykg.data.prompts import closed_book_prompt
from tests.answer.stubs import Writer


def make(texts, template=None, **settings):
    writer = Writer(texts)
    writer.tokenizer = SimpleNamespace(chat_template=template, apply_chat_template=lambda turns, **_: repr(turns))
    return ClosedBook(Config(**settings), SimpleNamespace(version="v1"), None, writer)


def test_answers_are_split_in_the_order_of_writing():
    strategy = make({"one": " B; A; B [1]", "two": "  "})
    first, second = strategy.answer([Question("one"), Question("two")])
    assert (first.answers, first.ids, first.status, first.bad_citations) == (("B", "A"), (), "answered", 1)
    assert first.plan is None
    assert (second.answers, second.status, second.error) == ((), "empty", "the model named nothing")
    assert first.version == "v1"


def test_a_question_that_is_too_long_gets_a_status_and_the_others_their_answers():
    first, second = make({"one": " B"}).answer([Question("x" * 6000), Question("one")])
    assert (first.status, first.answers, first.version) == ("too_long", (), "v1")
    assert "at most 5000 fit: shorten it" in first.error
    assert second.answers == ("B",)


def test_the_bare_prompt_is_that_of_fine_tuning():
    assert make({}).prompt(Question("who?")) == closed_book_prompt("who?")


def test_the_base_model_gets_its_chat_template_with_examples():
    prompt = make({}, template="x", prompt="chat").prompt(Question("who?"))
    turns = eval(prompt)  # noqa: S307 - the stub's own repr
    assert [turn["role"] for turn in turns] == ["system", *["user", "assistant"] * 5, "user"]
    assert turns[-1]["content"] == "Q: who?"


@pytest.mark.parametrize("style", ["chat", "few_shot"])
def test_without_a_chat_template_the_examples_are_plain_text(style):
    prompt = make({}, prompt=style).prompt(Question("who?"))
    assert prompt.endswith("\n\n" + closed_book_prompt("who?"))
    assert prompt.count("\nA: ") == 5


def test_plain_examples_stay_plain_beside_a_chat_template():
    assert make({}, template="x", prompt="few_shot").prompt(Question("who?")) == make({}, prompt="few_shot").prompt(Question("who?"))
