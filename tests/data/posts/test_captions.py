from collections import Counter
from pathlib import Path

import pytest

from raykg.data.errors import PostError
from raykg.data.posts.captions import HIDDEN, LEAD, Captions, Config

REAL = Path("../shared/data/mkgc/flickr1k")
ROWS = [
    *(f"{number}.jpg,A dog runs over the grass ." for number in range(6)),
    *(f"m{number}.jpg,An old man sits ." for number in range(6)),
    'm0.jpg,"The man , in red , sits ."',
    "0.jpg,A man and a dog .",
    "1.jpg,The kid and the dog .",
    "2.jpg,A red car .",
]


def captions(folder, rows=ROWS, **more):
    (folder / "captions.txt").write_text("image,caption\n" + "\n".join(rows) + "\n")
    return Captions(Config(folder=str(folder), types=("dog", "man"), tasks=2, **more))


def test_the_only_word_that_names_somebody_is_hidden(tmp_path):
    stream = captions(tmp_path).stream(0)
    posts = {post["id"]: post for post in stream.posts.to_pylist()}
    assert Counter(post["relation"] for post in posts.values()) == {"dog": 6, "man": 7}
    last = posts["captions.txt:14"]
    assert last["tokens"] == [*LEAD, "the", HIDDEN, ",", "in", "red", ",", "sits", "."]
    assert (last["head"], last["tail"], last["image"]) == ({"start": 4, "end": 5}, {"start": 1, "end": 2}, "m0.jpg")
    assert captions(tmp_path, captions=1).stream(0).posts.num_rows == 12
    assert captions(tmp_path).files() == [tmp_path / "captions.txt"]
    assert captions(tmp_path).images(stream, tmp_path, 0) == tmp_path / "images"


def test_what_is_no_caption_is_refused_with_its_line(tmp_path):
    with pytest.raises(PostError, match=r"captions.txt:3: expected a file's name, a comma and a caption, found 'x.jpg'"):
        captions(tmp_path, ["a.jpg,A dog .", "x.jpg"]).stream(0)
    with pytest.raises(PostError, match="no caption names exactly one of dog, man"):
        captions(tmp_path, ["a.jpg,A car ."]).stream(0)
    (tmp_path / "captions.txt").write_text("hello\n")
    with pytest.raises(PostError, match=r"captions.txt:1: expected the line image,caption"):
        Captions(Config(folder=str(tmp_path))).stream(0)
    with pytest.raises(PostError, match="point posts.folder at photos with captions"):
        Captions(Config(folder=str(tmp_path / "none"))).stream(0)


@pytest.mark.skipif(not REAL.exists(), reason="Flickr8k's photos are not here")
def test_real_captions_hide_who_is_seen():
    cfg = Config(folder=str(REAL))
    stream = Captions(cfg).stream(0)
    assert stream.posts.num_rows > 3000 and set(stream.types) == set(cfg.types)
    named = {*cfg.types, *cfg.others}
    assert all(not named & set(tokens) and HIDDEN in tokens for tokens in stream.posts["tokens"].to_pylist())
