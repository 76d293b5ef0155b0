import json

import pyarrow.parquet as pq
import pytest

from raykg.continual.construct import EXTRACTIONS, extract
from raykg.continual.learnt import LearntModel
from raykg.data.errors import PostError
from tests.continual.learnt_models import learnt, unseen_posts, written


def test_every_post_is_read_or_is_a_dead_letter_and_the_order_is_the_files(ray_session, tmp_path):
    model = LearntModel.open(learnt(tmp_path))
    rows = unseen_posts(tmp_path)
    mixed = ["no post", *rows * 30, {"text": "a b"}]  # more than one part
    counts = extract(model, written(mixed, tmp_path / "posts.jsonl"), tmp_path / "found", threshold=0.9, workers=2)
    table = pq.read_table(tmp_path / "found" / "extractions.parquet")
    assert table.schema.equals(EXTRACTIONS) and counts["posts"] == len(mixed) and counts["dead"] == 2 and counts["unreadable"] == 0
    assert counts["told"] > counts["kept"] == table.num_rows > 0 and table["line"].to_pylist() == sorted(table["line"].to_pylist())
    letters = [json.loads(line) for line in (tmp_path / "found" / "dead-letters.jsonl").read_text().splitlines()]
    assert [one["line"] for one in letters] == [1, len(mixed)]
    assert min(table["confidence"].to_pylist()) >= 0.9
    first = table.to_pylist()[0]
    post = mixed[first["line"] - 1]
    assert first["head"] == post["tokens"][0] and first["tail"] == post["tokens"][2] and first["text"] == " ".join(post["tokens"])


def test_a_file_without_rows_is_refused(tmp_path):
    model = LearntModel.open(learnt(tmp_path))
    with pytest.raises(PostError, match="has no row"):
        extract(model, written([], tmp_path / "posts.jsonl"), tmp_path / "found", threshold=0.0, workers=1)
