import pytest

from raykg.data.errors import PostError
from raykg.data.posts.twitter2017 import Config, Twitter2017
from tests.shared_data import shared

ANN = "IMGID:1\nAnn\tB-PER\nin\tO\nRome\tB-LOC\n\n"


def write(folder, **files):
    person, place = ANN.replace("B-LOC", "O"), ANN.replace("IMGID:1", "IMGID:2")
    texts = {"train": ANN + place, "valid": ANN, "test": ANN, "train_0": person, "valid_0": person, "test_0": person}
    texts |= {"train_1": place.replace("B-PER", "O"), "valid_1": ANN.replace("B-PER", "O"), "test_1": ANN}
    for name, text in (texts | files).items():
        place_of = folder / "order" if name[-1].isdigit() else folder
        place_of.mkdir(exist_ok=True)
        (place_of / f"{name}.txt").write_text(text, encoding="utf-8")
    return Twitter2017(Config(folder=str(folder), tasks="order"))


def test_what_a_task_leaves_unmarked_is_known_from_the_whole_file(tmp_path):
    stream = write(tmp_path).stream(0)
    assert [task.types for task in stream.tasks] == [("PER",), ("LOC",)]
    assert stream.posts["tags"][0].as_py() == ["B-PER", "O", "B-LOC"]
    first = stream.tasks[0]
    assert stream.tags(first.train, first.types).to_pylist() == [["B-PER", "O", "O"]]
    assert stream.posts["image"].to_pylist() == ["1.jpg", "2.jpg", "1.jpg", "1.jpg"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train": "IMGID:1\nAnn B-PER\n"}, r"train.txt:2: expected a word, a tab and a BIO tag"),
        ({"train": "IMGID:1\nAnn\tPERSON\n"}, r"train.txt:2: expected a word"),
        ({"train_0": "IMGID:9\nEve\tB-PER\n"}, r"train_0.txt:2: this sentence is not in .*train.txt"),
        ({"test_0": ANN}, r"test_0.txt:2: is marked otherwise"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, files, words):
    with pytest.raises(PostError, match=words):
        write(tmp_path, **files).stream(0)


@pytest.mark.parametrize(
    ("tasks", "types", "train", "entities", "validation"),
    [
        ("sep-PLOM", ("PER", "LOC", "ORG", "MISC"), [943, 487, 909, 642], [1394, 623, 1397, 701], [200, 104, 205, 138]),
        ("sep-POLM-NEW", ("PER", "ORG", "LOC", "MISC"), [943, 909, 487, 642], [1394, 1397, 623, 701], [200, 205, 104, 138]),
    ],
)
def test_the_published_orders_have_the_published_counts(tasks, types, train, entities, validation):
    stream = Twitter2017(Config(folder=str(shared("mkgc/twitter2017")), tasks=tasks)).stream(0)
    assert stream.types == types
    assert [len(task.train) for task in stream.tasks] == train
    assert [len(task.validation) for task in stream.tasks] == validation
    assert [len(task.test) for task in stream.tasks] == [723] * 4
    marked = [stream.tags(task.train, task.types).flatten().to_pylist() for task in stream.tasks]
    assert [sum(tag.startswith("B-") for tag in tags) for tags in marked] == entities
    tests = [stream.tags(task.test, stream.seen(number)).to_pylist() for number, task in enumerate(stream.tasks)]
    outside = [sum(not any(tag != "O" for tag in tags) for tags in sentences) for sentences in tests]
    assert outside[0] == 284 and outside[3] == 86
