import pytest

from raykg.data.errors import PostError
from raykg.data.posts.mnre import Config, Mnre
from tests.shared_data import shared

ROW = {"token": ["Ann", "met", "Bob"], "h": {"name": "Ann", "pos": [0, 1]}, "t": {"name": "Bob", "pos": [2, 3]}, "img_id": "1.jpg"}


def write(folder, **files):
    """Whole files and one task; `files` may replace what is in them."""
    row, none = repr(ROW | {"relation": "/per/per/peer"}), repr(ROW | {"relation": "None", "img_id": "2.jpg"})
    texts = {
        "train": f"{row}\n{none}\n",
        "val": row,
        "test": none,
        "ours_train_0": f"{none}\n{row}\n",
        "ours_val_0": row,
        "ours_test_0": none,
    }
    for name, text in (texts | files).items():
        place = folder / "sep1" if name.startswith("ours") else folder
        place.mkdir(exist_ok=True)
        (place / f"{name}.txt").write_text(text, encoding="utf-8")
    return Mnre(Config(folder=str(folder), tasks="sep1"))


def test_rows_of_a_task_are_found_in_the_whole_files(tmp_path):
    stream = write(tmp_path).stream(0)
    assert stream.posts["id"].to_pylist() == ["train:1", "train:2", "val:1", "test:1"]
    assert stream.posts["head"][0].as_py() == {"start": 0, "end": 1}
    (task,) = stream.tasks
    assert task.types == ("/per/per/peer",) and task.train.tolist() == [1, 0] and task.test.tolist() == [3]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"train": "{'token': ['a']}"}, r"train.txt:1: expected a Python dict with token"),
        ({"train": "__import__('os').system('true')"}, r"train.txt:1: is no literal"),
        ({"train": "[" * 5000}, r"train.txt:1: is no literal"),
        ({"train": repr(ROW | {"relation": "r", "h": {"name": "a"}})}, r"train.txt:1: h.pos \(None\) must be two numbers"),
        ({"train": repr(ROW | {"relation": "r", "t": {"pos": [0, "1"]}})}, r"train.txt:1: t.pos \(\[0, '1'\]\) must be two numbers"),
        ({"ours_test_0": repr(ROW | {"relation": "other"})}, r"ours_test_0.txt:1: this post is not in .*test.txt"),
    ],
)
def test_what_is_no_post_is_named_and_never_run(tmp_path, files, words):
    with pytest.raises(PostError, match=words):
        write(tmp_path, **files).stream(0)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(PostError, match=r"posts.tasks \(sep10\)"):
        Mnre(Config(folder=str(tmp_path))).stream(0)


@pytest.mark.parametrize(
    ("tasks", "train", "validation", "test"),
    [
        (
            "sep10",
            [1741, 1671, 1418, 1210, 1148, 1020, 1065, 1008, 990, 962],
            [221, 223, 184, 163, 156, 131, 149, 140, 123, 132],
            [255, 464, 662, 836, 984, 1115, 1241, 1369, 1495, 1614],
        ),
        ("sep5", [3411, 2627, 2167, 2072, 1956], [444, 347, 287, 289, 255], [463, 833, 1111, 1364, 1613]),
    ],
)
def test_the_published_splits_have_the_published_counts(tasks, train, validation, test):
    stream = Mnre(Config(folder=str(shared("mkgc/mnre")), tasks=tasks)).stream(0)
    assert [len(task.train) for task in stream.tasks] == train
    assert [len(task.validation) for task in stream.tasks] == validation
    assert [len(task.test) for task in stream.tasks] == test
    assert sum(train) == 12247 - 14 and len(stream.types) == 20  # two relations, of 14 rows, are in no task
    assert stream.posts.num_rows == 12247 + 1624 + 1614
