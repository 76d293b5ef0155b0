import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raykg.config.load import from_dict
from raykg.data.errors import DataError
from raykg.data.masking import held_out
from raykg.data.prepare import prepare_questions
from raykg.data.questions_config import QuestionsConfig
from raykg.data.sources.generated import Generated

TRAIN = {"name": "generated", "count": 300, "split": "all", "wordings": "movies", "wordings_per_plan": 3, "kinds": {"path": 1.0}}


def config(**settings):
    test = {**TRAIN, "count": 60}
    return from_dict(QuestionsConfig, {"train": TRAIN, "test": [test, {**test, "split": "test"}], "validation": 10, **settings})


@pytest.fixture(scope="module")
def sets(films, tmp_path_factory, ray_session):
    return prepare_questions(config(), films, 0, tmp_path_factory.mktemp("sets"))


def test_no_test_question_shares_its_chain_with_training(sets):
    """Both draw from all chains here, so much is left out; topic and plan being equal implies it."""
    rows = {name: found.to_table() for name, found in (("train", sets.train), ("validation", sets.validation), *sets.tests.items())}
    trained = set(rows["train"]["chain"].to_pylist()) | set(rows["validation"]["chain"].to_pylist())
    asked = {(row["template"], *row["topic_ids"]) for name in ("train", "validation") for row in rows[name].to_pylist()}
    for name in sets.tests:
        assert not trained & set(rows[name]["chain"].to_pylist())
        assert not asked & {(row["template"], *row["topic_ids"]) for row in rows[name].to_pylist()}
    assert sets.train.about["left_out"]["with the facts of a test question"] > 0


def test_held_out_wordings_never_reach_training(sets):
    assert not held_out(sets.train.to_table()["wording"], 0.25).any()
    assert sets.train.about["left_out"]["in held-out wordings"] > 0


def test_seen_means_that_training_has_the_wording(sets):
    train = set(sets.train.to_table()["wording"].to_pylist())
    for test in sets.tests.values():
        rows = test.to_table()
        assert rows["wording_seen"].to_pylist() == [wording in train for wording in rows["wording"].to_pylist()]
        assert set(rows["wording_seen"].to_pylist()) == {True, False}


def test_validation_is_taken_from_training(sets):
    assert sets.validation.num_rows == 10
    assert not set(sets.train.to_table()["id"].to_pylist()) & set(sets.validation.to_table()["id"].to_pylist())
    assert set(sets.train.to_table()["wording_seen"].to_pylist()) == {True}


def test_questions_about_one_topic_become_neighbours(sets, films, tmp_path, ray_session):
    by_topic = prepare_questions(config(by_topic=True), films, 0, tmp_path)
    for one, other in ((by_topic.train, sets.train), (by_topic.validation, sets.validation)):
        assert sorted(one.to_table()["id"].to_pylist()) == sorted(other.to_table()["id"].to_pylist())
    topics = [row[0] if row else -1 for row in by_topic.train.to_table()["topic_ids"].to_pylist()]
    assert topics == sorted(topics)


def test_two_tests_of_one_source_have_names_of_their_own(sets):
    assert list(sets.tests) == ["generated", "generated-2"]


def test_the_same_again_is_opened(sets, films, ray_session, monkeypatch):
    folder = sets.train.folder.parent
    monkeypatch.setattr(Generated, "dataset", lambda *arguments: pytest.fail("asked again"))
    again = prepare_questions(config(), films, 0, folder)
    assert (again.train.version, again.train.about) == (sets.train.version, sets.train.about)


def test_a_changed_file_is_another_source(films, tmp_path, ray_session):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "who directed Alien?", "plan": "Alien > directed by"}\n')
    mine = config(test=[{"name": "file", "path": str(file), "recover": False}])
    before = prepare_questions(mine, films, 0, tmp_path / "sets").tests["file"]
    file.write_text('{"question": "who directed Aliens?", "plan": "Aliens > directed by"}\n')
    after = prepare_questions(mine, films, 0, tmp_path / "sets").tests["file"]
    assert before.about["files"] != after.about["files"]
    assert after.to_table(["question"])["question"].to_pylist() == ["who directed Aliens?"]


def test_training_without_rows_is_refused(films, tmp_path, ray_session):
    with pytest.raises(DataError, match=r"questions.train: \d+ of \d+ rows are left .*questions.validation takes 500"):
        prepare_questions(config(validation=500), films, 0, tmp_path)


class Shouter:
    """Asks every question once more with another word before it."""

    def __init__(self, reference: str, wordings: int, planner: str) -> None:
        assert (reference, wordings) == ("tiny:llama", 2)
        assert planner.startswith("/")

    def __call__(self, rows: pa.Table) -> pa.Table:
        again = pc.binary_join_element_wise("hello", rows["question"], " ")
        return pa.concat_tables([rows, rows.set_column(rows.schema.get_field_index("question"), rows.schema.field("question"), again)])


def test_paraphrases_join_the_training_set_alone(films, tmp_path, ray_session):
    asked = config(paraphrase={"model": "tiny:llama", "planner": "runs/earlier", "wordings": 2}, hold_out_wordings=0.0)
    plain = prepare_questions(config(hold_out_wordings=0.0), films, 0, tmp_path / "plain")
    more = prepare_questions(asked, films, 0, tmp_path / "more", Shouter)
    assert more.train.num_rows == 2 * plain.train.num_rows
    assert more.validation.num_rows == plain.validation.num_rows
    questions = more.train.to_table(["question"])["question"].to_pylist()
    assert sum(text.startswith("hello ") for text in questions) == plain.train.num_rows
    of_more, of_plain = (set(found.train.to_table(["id"])["id"].to_pylist()) for found in (more, plain))
    assert len(of_more) == 2 * len(of_plain), "paraphrases have ids of their own"
    with pytest.raises(DataError, match="questions.paraphrase"):
        prepare_questions(asked, films, 0, tmp_path / "more")


def test_a_planner_with_other_weights_makes_another_set(films, tmp_path, ray_session):
    weights = tmp_path / "earlier" / "model" / "adapter" / "adapter_model.safetensors"
    weights.parent.mkdir(parents=True)
    asked = config(paraphrase={"model": "tiny:llama", "planner": str(tmp_path / "earlier"), "wordings": 2}, hold_out_wordings=0.0)
    times = []
    for content in (b"one", b"one", b"other"):
        weights.write_bytes(content)
        train = prepare_questions(asked, films, 0, tmp_path / "sets", Shouter).train
        times.append((train.folder / "manifest.json").stat().st_mtime_ns)
    assert times[0] == times[1] < times[2]
