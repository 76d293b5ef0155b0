"""What tokens write, checked against decoding; the fewest tokens of a text, checked against trying all."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.answer.constrained_vocabulary import Vocabulary
from raykg.answer.question import AnswerError
from raykg.models import tiny
from tests.answer.random_models import merged_tokenizer, sentence_piece_tokenizer

TEXTS = st.text('aA >)(r[]"dié–東🎬\n', max_size=12)


@pytest.fixture(scope="module", params=["bytes", "merged", "pieces and bytes"])
def tokenizer(request):
    return {"bytes": tiny.tokenizer, "merged": merged_tokenizer, "pieces and bytes": sentence_piece_tokenizer}[request.param]()


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary(tokenizer)


def decoded(tokenizer, tokens):
    return tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_tokens_write_what_decoding_says(tokenizer, vocabulary, data):
    text = data.draw(TEXTS)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(vocabulary.pieces[token] for token in tokens).decode() == text
    spelt = vocabulary.spell(text.encode())
    assert decoded(tokenizer, spelt) == text
    assert len(spelt) <= len(tokens)


def test_special_tokens_write_nothing(tokenizer, vocabulary):
    assert all(vocabulary.pieces[token] is None for token in tokenizer.all_special_ids)
    assert vocabulary.whole and vocabulary.spells("東🎬 any")


def test_the_fewest_tokens(vocabulary):
    for text in ("A > dir", " (A))", "dd", ""):
        data = text.encode()
        fewest = None
        for cuts in range(len(data) + 1):
            for places in itertools.combinations(range(1, len(data)), cuts - 1 if cuts else 0):
                parts = [data[a:b] for a, b in itertools.pairwise([0, *places, len(data)])] if data else []
                if all(part in vocabulary.tokens for part in parts):
                    fewest = len(parts)
                    break
            if fewest is not None:
                break
        assert len(vocabulary.spell(data)) == fewest


def test_remembered_texts_are_forgotten_in_time(vocabulary, monkeypatch):
    monkeypatch.setattr("raykg.answer.constrained_vocabulary._REMEMBERED", 3)
    texts = [bytes([letter]) for letter in b"abcdefgh"]
    assert [vocabulary.spell(text) for text in texts + texts] == [(vocabulary.tokens[text],) for text in texts + texts]
    assert len(vocabulary._spelt) <= 3


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_the_walk_finds_what_trying_each_token_finds(vocabulary, data):
    allowed = {(place, byte) for place in range(4) for byte in data.draw(st.sets(st.sampled_from(b' A>dirx)\n"\xe6\x9d\xb1'), max_size=9))}
    steps = []

    def step(state, byte):
        steps.append(byte)
        return state + 1 if (state, byte) in allowed or state >= 4 else None

    def takes(piece):
        return bool(piece) and all((place, byte) in allowed or place >= 4 for place, byte in enumerate(piece))

    found = vocabulary.follow(0, step)
    assert sorted(found) == [token for token, piece in enumerate(vocabulary.pieces) if takes(piece)]
    assert len(steps) <= sum(len(piece) for piece in vocabulary.pieces if piece)


def test_a_vocabulary_without_bytes_says_what_it_spells():
    vocabulary = Vocabulary(sentence_piece_tokenizer(bytes_too=False))
    assert not vocabulary.whole
    assert vocabulary.spells("A é") and not vocabulary.spells("ж")
    assert vocabulary.spell("aж".encode()) is None


def test_a_word_that_looks_like_a_byte_is_one_only_where_bytes_are_tokens():
    from tokenizers import AddedToken

    tokenizer = sentence_piece_tokenizer()
    tokenizer.add_tokens([AddedToken("<0x41>!", special=False)])
    assert Vocabulary(tokenizer).pieces[tokenizer.convert_tokens_to_ids("<0x41>!")] == b"<0x41>!"
    assert Vocabulary(tokenizer).pieces[tokenizer.convert_tokens_to_ids("<0x41>")] == b"A"


def test_other_tokenizers_are_refused():
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    with pytest.raises(AnswerError, match=r"tokenizer \(object\) is not a fast one: set constrained to false"):
        Vocabulary(object())
    words = Tokenizer(models.WordPiece({"a": 0, "##b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    with pytest.raises(AnswerError, match=r"its decoder \(none\) is not one that writes bytes or pieces"):
        Vocabulary(PreTrainedTokenizerFast(tokenizer_object=words))
    words.decoder = decoders.WordPiece()
    with pytest.raises(AnswerError, match=r"its decoder \(WordPiece\) is not one that writes bytes or pieces"):
        Vocabulary(PreTrainedTokenizerFast(tokenizer_object=words))
    lying = merged_tokenizer()
    lying.backend_tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("A", "B")])
    with pytest.raises(AnswerError, match=r"its tokens write .*as their pieces say: set constrained to false"):
        Vocabulary(lying)
