"""Tokens that are allowed, against the definition; and what models with random weights write under a constraint."""

from collections import defaultdict
from functools import cache
from random import Random

import pytest

from raykg.answer.constrained import DONE, PlanConstraint, Row
from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.constrained_names import stretches
from raykg.answer.constrained_vocabulary import Vocabulary
from raykg.answer.generation import Generator
from raykg.answer.question import AnswerError
from raykg.data.prompts import STOP
from raykg.kg.logical_form import Entity, bind, entities, execute, parse, write
from raykg.models import tiny
from tests.answer.random_models import NASTY, merged_tokenizer, nasty_graph, random_model, sentence_piece_tokenizer
from tests.kg.logical_form.random_forms import RandomForms

TOKENIZERS = {"bytes": tiny.tokenizer, "merged": merged_tokenizer, "pieces and bytes": sentence_piece_tokenizer}
QUESTION = 'who directed "Amélie" - (the 1995 one) or [C] & 東京?'


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    return [nasty_graph(tmp_path_factory.mktemp(f"nasty{seed}"), seed) for seed in range(4)]


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]()


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary(tokenizer)


def constraint_of(graph, vocabulary, tokenizer, question=None):
    grammar = PlanGrammar.of(graph)
    return PlanConstraint(grammar if question is None else grammar.copying(stretches(question)), vocabulary, {tokenizer.eos_token_id}, STOP)


def continues(grammar, data):
    """Tell whether bytes begin a plan: by the characters that are whole, and by trying every continuation of the last one."""
    whole = data
    while True:
        try:
            text = whole.decode()
            break
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                return False
            whole = whole[: error.start]
    state = grammar.start
    for character in text:
        state = grammar.step(state, character)
        if not state:
            return False
    left = data[len(whole) :]
    if not left:
        return True
    return any(grammar.step(state, letter) for letter in letters_from(left))


def letters_from(left):
    """Return letters whose bytes begin with some: a few of every 64, and all of those that names here have."""
    return beginnings()[left]


@cache
def beginnings():
    known = [letter for name in [*NASTY, QUESTION] for letter in name if not letter.isascii()]
    codes = (block + place for block in range(0x80, 0x110000, 64) for place in (3, 16, 40, 50) if not 0xD800 <= block < 0xE000)
    found = defaultdict(list)
    for letter in [*known, *map(chr, codes)]:
        data = letter.encode()
        for end in range(1, len(data)):
            found[data[:end]].append(letter)
    return found


def is_plan(grammar, data):
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    state = grammar.start
    for character in text:
        state = grammar.step(state, character)
    return bool(state) and grammar.accepts(state)


@pytest.mark.parametrize("question", [pytest.param(None, marks=pytest.mark.story), QUESTION])
def test_the_allowed_tokens_are_those_that_the_definition_allows(graphs, vocabulary, tokenizer, question):
    rng = Random(7)
    for graph in graphs[:2]:
        constraint = constraint_of(graph, vocabulary, tokenizer, question)
        row, written = constraint.start(40), b""
        for left in range(40, 0, -1):
            allowed = constraint.allowed(row, 10**6)
            sample = set(rng.sample(range(len(vocabulary.pieces)), min(120, len(vocabulary.pieces)))) | set(
                rng.sample(allowed, min(40, len(allowed)))
            )
            for token in sample:
                piece = vocabulary.pieces[token]
                if token == tokenizer.eos_token_id:
                    expected = is_plan(constraint.grammar, written)
                elif piece and b"\n" in piece:
                    whole = (written + piece).partition(b"\n")[0]
                    expected = is_plan(constraint.grammar, whole)
                else:
                    expected = bool(piece) and continues(constraint.grammar, written + piece)
                assert (token in allowed) == expected, (written, piece)
            within = constraint.allowed(row, left)
            assert within and set(within) <= set(allowed)
            token = rng.choice(within)
            row = constraint.follow(row, token, left)
            if row.done:
                break
            written += vocabulary.pieces[token]


def test_every_canonical_plan_is_allowed_token_by_token(graphs, vocabulary, tokenizer):
    names = ["A", "Heat (1995)", 'the "x"', "AC - DC", "Amélie", "東京", "count(z)", "1984"]
    for seed, graph in enumerate(graphs):
        constraint = constraint_of(graph, vocabulary, tokenizer)
        relations = graph.relation_names
        forms = RandomForms(Random(seed), [Entity(name) for name in names], relations, relations, ["1984", "a b"])
        for _ in range(60):
            text = f" {write(forms.form())}"
            tokens = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            row = constraint.start(400)
            for place, token in enumerate(tokens):
                row = constraint.follow(row, token, 400 - place)
                assert row is not None, (text, place)
            assert row.done and constraint.completes(tokens) and constraint.completes(tokens[:-1])
            assert not constraint.completes(tokens[:1]) or text[1:2] not in "(~"


def checked(text, graph, question=None):
    """Parse and run a text; return its form."""
    form = parse(text.strip(), graph)
    assert all(relation in graph.relation_names for relation in _relations(form))
    execute(bind(form, {entity.name: place for place, entity in enumerate(entities(form))}), graph)
    if question is not None:
        assert {entity.name.lower() for entity in entities(form)} <= {name.lower() for name in stretches(question)}
    return form


def _relations(form):
    from raykg.kg.logical_form import relations

    return relations(form)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 9, 24])
def test_whatever_random_weights_write_is_a_plan(graphs, tokenizer, limit):
    prompts = [f"question {number} =>" for number in range(6)]
    different = set()
    for seed in range(2):
        generator = Generator(random_model(tokenizer, seed, scale=1.0 + seed), tokenizer, batch=4)
        for graph in graphs[:3]:
            written = generator.generate(prompts, limit, STOP, [PlanGrammar.of(graph)] * len(prompts))
            for text in written:
                checked(text, graph)
                assert 0 <= text.confidence <= 1
            different.update(written)
    assert len(different) > 3 or limit < 5


@pytest.mark.parametrize("limit", [8, 12, 30])
def test_whatever_random_weights_copy_stands_in_the_question(graphs, tokenizer, limit):
    questions = [QUESTION, "is Zoë b or c?", "what about (a b) c", "x"]
    for seed in range(2):
        generator = Generator(random_model(tokenizer, seed, scale=2.0), tokenizer, batch=3)
        for graph in graphs[1:3]:
            base = PlanGrammar.of(graph)
            grammars = [base.copying(stretches(question)) for question in questions]
            for question, text in zip(
                questions, generator.generate([f"{one} =>" for one in questions], limit, STOP, grammars), strict=True
            ):
                checked(text, graph, question)


def test_the_best_token_is_the_best_of_all_that_are_allowed(graphs, vocabulary, tokenizer):
    import torch

    dice = torch.Generator().manual_seed(3)
    constraint = constraint_of(graphs[0], vocabulary, tokenizer)
    for _ in range(6):
        row = constraint.start(200)
        for left in range(200, 170, -1):
            scores = torch.randn(len(vocabulary.pieces) + 5, generator=dice)
            allowed = constraint.allowed(row, left)
            order = sorted(allowed, key=lambda token: -scores[token].item())
            token, after = constraint.best(row, scores, left)
            assert token == order[0]
            assert [token for token, _ in constraint.several(row, scores, left, 7)] == order[:7]
            assert constraint.follow(row, token, left) == after
            row = after
            if row.done:
                break


def test_when_few_tokens_are_left_one_that_closes_is_chosen(graphs, vocabulary, tokenizer):
    import torch

    constraint = constraint_of(graphs[1], vocabulary, tokenizer)
    rng = Random(1)
    for _ in range(40):
        limit = rng.randint(1, 14)
        row, tokens = constraint.start(limit), []
        while not row.done and len(tokens) < limit:
            left = limit - len(tokens)
            scores = torch.zeros(len(vocabulary.pieces))
            for token, piece in enumerate(vocabulary.pieces):
                scores[token] = rng.random() + (3 if piece and set(piece) & set(b'([~"&') else 0)  # a model that opens and never closes
            scores[tokenizer.eos_token_id] = -5
            token, row = constraint.best(row, scores, left)
            tokens.append(token)
        assert constraint.completes(tokens)


def test_mistakes_are_named(graphs, vocabulary, tokenizer):
    grammar, end = PlanGrammar.of(graphs[0]), tokenizer.eos_token_id
    with pytest.raises(AnswerError, match=r"no end-of-sequence token, which ends a plan: set one in generation_config.json"):
        PlanConstraint(grammar, vocabulary, [])
    for stop in (";", "", "a\n"):
        with pytest.raises(AnswerError, match=r"stop \('.*'\) could stand within a plan: it must begin with a control character"):
            PlanConstraint(grammar, vocabulary, [end], stop)
    with pytest.raises(AnswerError, match=r"max_new_tokens \(0\) is too few for a plan: the shortest one takes 1"):
        PlanConstraint(grammar, vocabulary, [end], STOP).start(0)
    silent = Vocabulary(tokenizer)
    silent.pieces = [None if piece == b"~" else piece for piece in silent.pieces]
    with pytest.raises(AnswerError, match=r"no tokens write some sign of a plan: set constrained to false"):
        PlanConstraint(grammar, silent, [end], STOP)


def test_without_a_stop_text_only_the_end_token_ends_a_plan(graphs, vocabulary, tokenizer):
    constraint = PlanConstraint(PlanGrammar.of(graphs[0]), vocabulary, [tokenizer.eos_token_id])
    row = constraint.start(20)
    for token in vocabulary.spell(b" A"):
        row = constraint.follow(row, token, 20)
    assert constraint.follow(row, vocabulary.tokens[b"\n"], 20) is None
    assert constraint.follow(row, tokenizer.eos_token_id, 20) == Row(DONE)
    assert constraint.follow(Row(DONE), vocabulary.tokens[b"A"], 20) is None
    assert constraint.follow(row, len(vocabulary.pieces) + 3, 20) is None, "a row of the model that no token has"
    assert constraint.remembered > 0


def test_names_that_the_tokens_cannot_spell_are_left_out(tmp_path):
    tokenizer = sentence_piece_tokenizer(bytes_too=False)
    from raykg.kg.build import from_triples

    graph = from_triples(tmp_path, [("A", "p", "B"), ("A", "q", "B")], relation_labels={"p": "жж", "q": "é to"})
    generator = Generator(random_model(tokenizer, 1, 2.0), tokenizer)
    found = generator.generate([f"{number} >" for number in range(8)], 20, STOP, [PlanGrammar.of(graph)] * 8)
    for text in found:
        checked(text, graph)
        assert "ж" not in text
    constraint = generator._constrained([PlanGrammar.of(graph)], STOP)[0]
    assert constraint.grammar.relations.texts == sorted(["é to", '"é to"', "p", '"p"', "q", '"q"'])
