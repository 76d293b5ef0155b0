import json

import pyarrow as pa
import pytest

from raykg.data.errors import QuestionFileError
from raykg.data.sources.file import Config, QuestionFile

GOOD = [
    {"question": "who directed Alien?", "answers": ["Ridley Scott"], "topics": ["Alien"]},
    {"question": "who directed [Aliens]?", "answers": ["James Cameron"]},
    {"question": "films of Ridley Scott", "plan": "Ridley Scott < directed by"},
]


def read(films, file, **settings):
    dataset = QuestionFile(Config(path=str(file), **settings)).dataset(films.root, films.version, 0)
    return pa.concat_tables(list(dataset.iter_batches(batch_format="pyarrow", batch_size=None))).sort_by("question")


def write(tmp_path, rows):
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_plans_are_those_given_and_those_recovered(films, tmp_path, ray_session):
    found = read(films, write(tmp_path, GOOD))
    assert found["plan"].to_pylist() == ["Ridley Scott < directed by", "Alien > directed by", "Aliens > directed by"]
    assert found["fit"].to_pylist()[0] == "gold"
    assert read(films, write(tmp_path, GOOD), recover=False)["plan"].to_pylist() == ["Ridley Scott < directed by", "", ""]


def test_bad_rows_are_counted_and_kept(films, tmp_path, ray_session):
    file = write(tmp_path, [*GOOD, {"question": "who?"}])
    with pytest.raises(QuestionFileError, match="1 bad rows, max_bad_rows allows 0; first: line 4: answers: none"):
        read(films, file)
    letters = tmp_path / "letters.jsonl"
    assert read(films, file, max_bad_rows=1, dead_letters=str(letters)).num_rows == 3
    assert json.loads(letters.read_text())["line"] == 4
    assert (tmp_path / "mine.jsonl.bad.jsonl").exists()


def test_a_missing_file_and_missing_columns_are_refused(films, tmp_path, ray_session):
    with pytest.raises(QuestionFileError, match="no such question file"):
        read(films, tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("q,a\n")
    with pytest.raises(QuestionFileError, match="expected question"):
        read(films, tmp_path / "a.csv")
