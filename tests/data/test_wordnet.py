import pytest

from raykg.data.errors import PostError
from raykg.data.wordnet import kinds_of, read_nouns

LINES = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is perceived
02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 002 @ 02083346 n 0000 #m 07994941 n 00 | member of the genus Canis; "a dog"
02083346 05 n 02 canine 0 canid 0 001 @ 00001740 n 0000 | any of various mammals
09000000 15 n 01 Rex 0 001 @i 02084071 n 0000 | a dog; a well-known one
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "data.noun").write_text(LINES)
    return tmp_path / "data.noun"


def test_nouns_have_words_kinds_and_an_explanation_without_examples(file):
    nouns = read_nouns(file)
    assert list(nouns) == ["n00001740", "n02084071", "n02083346", "n09000000"]
    dog = nouns["n02084071"]
    assert dog.words == ("dog", "domestic_dog", "Canis_familiaris")
    assert dog.above == ("n02083346",)
    assert dog.explanation == "member of the genus Canis"
    assert nouns["n09000000"].explanation == "a dog; a well-known one"


def test_what_a_noun_is_a_kind_of_goes_all_the_way_up(file):
    assert kinds_of(read_nouns(file), "n09000000") == {"n09000000", "n02084071", "n02083346", "n00001740"}


def test_other_files_are_refused_with_their_line(file):
    file.write_text(LINES + "hello\n")
    with pytest.raises(PostError, match=r"data.noun:6: expected a line of WordNet's data.noun, found 'hello"):
        read_nouns(file)
    with pytest.raises(PostError, match=r"cannot be read .*give posts.wordnet"):
        read_nouns(file.with_name("none"))
