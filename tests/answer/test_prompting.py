from types import SimpleNamespace

import pytest

from raykg.answer.prompting import CLOSED_BOOK_EXAMPLES, INSTRUCTION, READ_EXAMPLES, chat, few_shot, worded
from raykg.data.prompts import closed_book_prompt, parse_read_answer


def test_plain_text_ends_with_the_bare_prompt():
    bare = closed_book_prompt("who?")
    text = few_shot(bare, INSTRUCTION, CLOSED_BOOK_EXAMPLES)
    assert text.startswith(INSTRUCTION)
    assert text.endswith("\n\n" + bare)
    assert worded("few_shot", None, bare, INSTRUCTION, CLOSED_BOOK_EXAMPLES) == text
    assert worded("bare", None, bare, INSTRUCTION, CLOSED_BOOK_EXAMPLES) == bare


def test_chat_turns_hold_no_cue():
    seen = []
    tokenizer = SimpleNamespace(chat_template="x", apply_chat_template=lambda turns, **_: seen.extend(turns) or "text")
    assert chat(tokenizer, closed_book_prompt("who?"), INSTRUCTION, CLOSED_BOOK_EXAMPLES) == "text"
    assert seen[-1] == {"role": "user", "content": "Q: who?"}
    assert not any("A:" in turn["content"] for turn in seen)


@pytest.mark.parametrize(("prompt", "answer"), READ_EXAMPLES)
def test_examples_cite_facts_that_say_so(prompt, answer):
    facts = [line for line in prompt.splitlines() if line[0].isdigit()]
    read = parse_read_answer(answer, len(facts))
    assert read.answers
    assert read.citations
    assert read.bad_citations == ()
    if not read.answers[0].isdigit() or len(read.answers[0]) == 4:
        assert all(any(said in facts[number - 1] for number in read.citations) for said in read.answers)
