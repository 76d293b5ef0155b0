import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

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
    tokens = tokenise(post_table(related(words, head, tail)), tokenizer, "mentions", 100)
    fast = Tokenizer.from_file(str(tokenizer))
    ids = tokens["ids"][0].as_py()
    assert fast.decode(ids).replace(" ", "") == text
    first, opening, closing = tokens["read"][0].as_py()
    assert first == 0 and [fast.decode([ids[place]]).strip() for place in (opening, closing)] == ["<", "{"]
    assert tokenise(post_table(related(words, head, tail)), tokenizer, "cls", 100)["read"].to_pylist() == [[0]]


def test_a_relation_whose_mention_is_cut_off_cannot_be_read(tokenizer):
    posts = post_table(related("ann met bob", (0, 1), (2, 3)))
    whole = tokenise(posts, tokenizer, "mentions", 100)
    size = int(lengths(whole)[0])
    assert whole["readable"].to_pylist() == [True] and whole["cut"].to_pylist() == [False]
    short = tokenise(posts, tokenizer, "mentions", size - 8)
    assert short["readable"].to_pylist() == [False] and short["cut"].to_pylist() == [True]
    assert int(lengths(short)[0]) == size - 8


def test_each_word_is_read_at_its_first_token_and_cut_ones_are_not_read(tokenizer):
    posts = post_table({"id": ["p"], "split": ["train"], "tokens": [["ab", "c", "def"]], "tags": [["O"] * 3]})
    assert tokenise(posts, tokenizer, "mentions", 100)["read"].to_pylist() == [[0, 2, 3]]
    assert tokenise(posts, tokenizer, "mentions", 5)["read"].to_pylist() == [[0, 2, 3]]
    cut = tokenise(posts, tokenizer, "mentions", 4)
    assert cut["read"].to_pylist() == [[0, 2]] and cut["readable"].to_pylist() == [True]


def test_a_tokenizer_without_a_sign_for_a_mark_is_refused(tmp_path):
    poor = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "<": 2, ">": 3, "{": 4}, unk_token="[UNK]"))
    poor.pre_tokenizer = pre_tokenizers.Whitespace()
    poor.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(PostError, match="has no token for the mark }"):
        tokenise(post_table(related("a a", (0, 1), (1, 2))), tmp_path / "tokenizer.json", "cls", 10)
