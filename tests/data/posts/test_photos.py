import re
from pathlib import Path

import pytest
from PIL import Image

from raykg.data.errors import PostError
from raykg.data.posts.photos import HIDDEN, LEAD, Config, Photos, described
from raykg.data.wordnet import kinds_of, read_nouns
from tests.data.test_wordnet import LINES

REAL = Path("../shared/data/mkgc/photos/img")
WORDNET = Path("/usr/share/wordnet/data.noun")
MORE = """02085936 05 n 01 terrier 0 001 @ 02084071 n 0000 | a breed of dog with dogs' short coat; lively
02121620 05 n 01 cat 0 001 @ 00001740 n 0000 | feline with thick fur and no ability to roar
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data.noun").write_text(LINES + MORE)
    for key in ("n02085936", "n02084071", "n02121620", "n00001740"):
        for number in range(6):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{key}_{number}.jpg")
    return tmp_path


def photos(folder, **more):
    return Photos(Config(folder=str(folder), wordnet=str(folder), **{"types": ("n02084071", "n02121620"), "tasks": 2, **more}))


def test_a_photo_becomes_a_post_without_its_name(folder):
    stream = photos(folder).stream(0)
    assert stream.types == ("dog", "cat") and stream.posts.num_rows == 18  # what is only an entity is left out
    terrier = next(post for post in stream.posts.to_pylist() if post["image"] == "n02085936_0.jpg")
    expected = [*LEAD, "a", "breed", "of", HIDDEN, "with", HIDDEN, "'", "short", "coat", ";", "lively"]
    assert terrier["tokens"] == expected or terrier["tokens"] == [word for word in expected if word != "'"]
    assert terrier["relation"] == "dog"
    assert terrier["tokens"][terrier["head"]["start"]] == HIDDEN and terrier["tokens"][terrier["tail"]["start"]] == "picture"
    assert photos(folder).images(stream, folder / "other", 0) == folder
    assert photos(folder).files() == [folder / "data.noun"]


def test_what_makes_no_stream_is_refused(folder, tmp_path):
    with pytest.raises(PostError, match="has no noun n99999999, expected one such as"):
        photos(folder, types=("n99999999",)).stream(0)
    Image.new("RGB", (8, 8)).save(folder / "n99999999_x.jpg")
    with pytest.raises(PostError, match=r"n99999999_x.jpg: WordNet has no noun"):
        photos(folder).stream(0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PostError, match="has no photo of any type"):
        Photos(Config(folder=str(tmp_path / "empty"), wordnet=str(folder), types=("n02084071",))).stream(0)


@pytest.mark.skipif(not REAL.exists(), reason="the photos are not here")
@pytest.mark.skipif(not WORDNET.exists(), reason="WordNet is not installed (Debian: wordnet-base)")
def test_real_photos_have_eleven_types_and_no_post_names_its_own():
    stream = Photos(Config(folder=str(REAL))).stream(0)
    assert len(stream.types) == 11 and stream.posts.num_rows == 359
    nouns = read_nouns(WORDNET)
    for post in stream.posts.to_pylist():
        kinds = kinds_of(nouns, post["image"][:9])
        names = {part.lower() for one in kinds for word in nouns[one].words for part in re.split(r"[_-]", word) if len(part) > 2}
        assert not names & {word.lower() for word in post["tokens"][len(LEAD) :]} - {HIDDEN}
        assert described(nouns, post["image"][:9], kinds) == post["tokens"][len(LEAD) :]
