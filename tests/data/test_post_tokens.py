import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from raykg.data.errors import PostError
from raykg.data.post_table import post_table
from raykg.data.post_tokens import lengths, tokenise
from raykg.models.reference import resolve


@pytest.fixture(scope="module")
def tokenizer():
    """Bytes: each letter, and the space before a word, is a token."""
    return resolve("tiny:bert") / "tokenizer.json"


def related(words, head, tail):
    spans = [{"start": start, "end": end} for start, end in (head, tail)]
    return {"id": ["p"], "split": ["train"], "tokens": [words.split()], "relation": ["r"], "head": spans[:1], "tail": spans[1:]}


@pytest.mark.parametrize(
    ("words", "head", "tail", "text"),
    [
        ("ann met bob", (0, 1), (2, 3), "<ann>met{bob}"),
        ("ann met bob", (2, 3), (0, 1), "{ann}met<bob>"),
        ("the big cat sat", (1, 3), (3, 4), "the<bigcat>{sat}"),
        ("the big cat", (0, 3), (1, 2), "<the{big}cat>"),  # one within the other
    ],
)
def test_mentions_stand_between_marks_and_are_read_where_they_begin(tokenizer, words, head, tail, text):
    tokens = tokenise(post_table(related(words, head, tail)), tokenizer, "marks", 100)
    fast = Tokenizer.from_file(str(tokenizer))
    ids = tokens["ids"][0].as_py()
    assert fast.decode(ids).replace(" ", "") == text
    first, opening, closing = tokens["read"][0].as_py()
    assert first == 0 and [fast.decode([ids[place]]).strip() for place in (opening, closing)] == ["<", "{"]
    assert tokenise(post_table(related(words, head, tail)), tokenizer, "cls", 100)["read"].to_pylist() == [[0]]


def test_means_are_of_the_text_and_of_what_stands_between_the_marks(tokenizer):
    fast = Tokenizer.from_file(str(tokenizer))
    posts = post_table(related("a < b > sees { c } d", (1, 4), (5, 8)))  # marks of the text's own are no marks
    tokens = tokenise(posts, tokenizer, "means", 100).to_pylist()[0]
    spans = list(zip(tokens["read"], tokens["stops"], strict=True))
    assert spans[0] == (0, len(tokens["ids"]))
    assert [fast.decode(tokens["ids"][start:stop]).replace(" ", "") for start, stop in spans[1:]] == ["<b>", "{c}"]
    marks = tokenise(posts, tokenizer, "marks", 100).to_pylist()[0]
    assert marks["stops"] == [place + 1 for place in marks["read"]] and marks["read"][1:] == [start - 1 for start, _ in spans[1:]]


def test_a_mention_of_which_the_tokenizer_leaves_nothing_is_read_by_its_marks(tmp_path):
    fast = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "<": 2, ">": 3, "{": 4, "}": 5}, unk_token="[UNK]"))
    fast.normalizer = normalizers.Replace("x", "")
    fast.save(str(tmp_path / "tokenizer.json"))
    tokens = tokenise(post_table(related("a x a", (0, 1), (1, 2))), tmp_path / "tokenizer.json", "means", 10).to_pylist()[0]
    assert list(zip(tokens["read"], tokens["stops"], strict=True)) == [(0, 6), (1, 2), (3, 5)]


def test_a_sentence_that_is_cut_keeps_words_of_which_the_tokenizer_leaves_nothing(tmp_path):
    known = ["[UNK]", *"abcdef<>{}"]
    fast = Tokenizer(models.WordLevel({word: place for place, word in enumerate(known)}, unk_token="[UNK]"))
    fast.normalizer = normalizers.Replace("x", "")
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast.save(str(tmp_path / "tokenizer.json"))
    words = ["a", "x", "b", "c", "x", "d", "e"]
    posts = post_table({"id": ["p"], "split": ["train"], "tokens": [words], "tags": [["O"] * len(words)]})
    whole, cut = (tokenise(posts, tmp_path / "tokenizer.json", "marks", most).to_pylist()[0] for most in (20, 4))
    assert whole["read"] == [0, 0, 1, 2, 0, 3, 4] and not whole["cut"]
    assert cut["read"] == [0, 0, 1, 2, 0] and cut["cut"], "each word at its own place, also behind one that is not seen"


def test_a_relation_whose_mention_is_cut_off_cannot_be_read(tokenizer):
    posts = post_table(related("ann met bob", (0, 1), (2, 3)))
    whole = tokenise(posts, tokenizer, "marks", 100)
    size = int(lengths(whole)[0])
    assert whole["readable"].to_pylist() == [True] and whole["cut"].to_pylist() == [False]
    short = tokenise(posts, tokenizer, "marks", size - 8)
    assert short["readable"].to_pylist() == [False] and short["cut"].to_pylist() == [True]
    assert int(lengths(short)[0]) == size - 8


def test_each_word_is_read_at_its_first_token_and_cut_ones_are_not_read(tokenizer):
    posts = post_table({"id": ["p"], "split": ["train"], "tokens": [["ab", "c", "def"]], "tags": [["O"] * 3]})
    assert tokenise(posts, tokenizer, "marks", 100)["read"].to_pylist() == [[0, 2, 3]]
    assert tokenise(posts, tokenizer, "marks", 5)["read"].to_pylist() == [[0, 2, 3]]
    cut = tokenise(posts, tokenizer, "marks", 4)
    assert cut["read"].to_pylist() == [[0, 2]] and cut["readable"].to_pylist() == [True]


def test_a_tokenizer_without_a_sign_for_a_mark_is_refused(tmp_path):
    poor = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "<": 2, ">": 3, "{": 4}, unk_token="[UNK]"))
    poor.pre_tokenizer = pre_tokenizers.Whitespace()
    poor.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(PostError, match="has no token for the mark }"):
        tokenise(post_table(related("a a", (0, 1), (1, 2))), tmp_path / "tokenizer.json", "cls", 10)
