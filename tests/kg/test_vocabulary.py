import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.kg.errors import KgError
from raykg.kg.vocabulary import Vocabulary, literal_texts, readable, refuse_nul, split_literals


@given(
    st.lists(st.lists(st.one_of(st.none(), st.sampled_from("abcdefg")), max_size=6), max_size=6),
    st.integers(1, 3),
    st.lists(st.sampled_from("axyz"), unique=True),
)
def test_ids_are_dense_in_order_of_appearance_and_never_change(chunks, every, known):
    vocabulary = Vocabulary(pa.array(known, pa.string()))
    final, waiting = [], []
    for number, chunk in enumerate(chunks):
        waiting.append(vocabulary.stage(pa.array(chunk, pa.string())))
        if number % every == 0 or number == len(chunks) - 1:
            mappings = vocabulary.settle(vocabulary.staged())
            final += [mapping[codes].tolist() for mapping, codes in zip(mappings, waiting, strict=True)]
            waiting = []
    order = list(dict.fromkeys([*known, *(text for chunk in chunks for text in chunk if text is not None)]))
    assert vocabulary.texts.to_pylist() == order and len(vocabulary) == len(order)
    assert final == [[-1 if text is None else order.index(text) for text in chunk] for chunk in chunks]


def test_literals_and_entities_of_one_text_are_parted_again():
    keys, types = pa.array(["a", "1", "1", ""], pa.large_string()), pa.array([None, "integer", None, "string"], pa.large_string())
    assert [column.to_pylist() for column in split_literals(literal_texts(keys, types))] == [keys.to_pylist(), types.to_pylist()]
    with pytest.raises(KgError, match=r"tail: 'a\\x00b' holds a NUL character"):
        refuse_nul(pa.array(["x", "a\0b"]), "tail")


def test_default_labels():
    keys = ["http://e/The_Film%20two", "Re:Animator", "a_b", "http://e/x#birthPlace", "urn:x:y", "http://e/", "Alien: Covenant"]
    assert readable(pa.array(keys)).to_pylist() == ["The Film two", "Re:Animator", "a_b", "birthPlace", "y", "e", "Alien: Covenant"]
    keys = ["starred_actors", "http://e/birthPlace", "_", "P31"]
    assert readable(pa.array(keys), relations=True).to_pylist() == ["starred actors", "birth Place", "_", "P31"]


def test_of_a_dictionary_only_what_occurs_has_an_id():
    vocabulary = Vocabulary()
    column = pa.array(["r", "bad", "r", None, "q"]).dictionary_encode()
    assert vocabulary.stage(column.take(pa.array([0, 2, 3, 4]))).tolist() == [0, 0, -1, 1]
    vocabulary.settle(vocabulary.staged())
    assert vocabulary.texts.to_pylist() == ["r", "q"]


def test_what_is_mostly_distinct_is_staged_as_it_is_and_told_apart_later():
    vocabulary = Vocabulary()
    chunks = [["a", "b", "c"], ["d", "d", "a"], *[["a", "a", "e"]] * 6, ["a", "a", "a"], ["f", "f", "a"], ["d", None, "d"]]
    codes = [vocabulary.stage(pa.array(chunk)).tolist() for chunk in chunks]
    assert codes == [[0, 1, 2], [0, 1, 2], *[[0, 1, 2]] * 6, [0, 0, 0], [0, 0, 1], [0, -1, 0]], "each eighth is encoded, and nulls are"
    mappings = vocabulary.settle(vocabulary.staged())
    assert vocabulary.texts.to_pylist() == list("abcdef")
    named = [[None if one < 0 else "abcdef"[mapping[one]] for one in chunk] for mapping, chunk in zip(mappings, codes, strict=True)]
    assert named == chunks
