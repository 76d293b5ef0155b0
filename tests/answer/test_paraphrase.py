"""Paraphrases keep their names and their plan, or go."""

from types import SimpleNamespace

import pytest

from raykg.answer.paraphrase import Paraphraser, SavedPlanner, _mask, _unmask
from raykg.answer.question import AnswerError
from raykg.data.prompts import plan_prompt
from raykg.data.questions import QUESTION_SCHEMA, question_table
from tests.graphs import film_graph


class Model:
    """Writes the same beams for every question."""

    tokenizer = SimpleNamespace(chat_template=None)

    def __init__(self, beams):
        self.beams, self.asked = beams, []

    def generate_beams(self, prompts, limit, stop, beams):
        self.asked += prompts
        return [self.beams[:beams] for _ in prompts]


def test_names_travel_as_letters_and_come_back():
    assert _mask("who directed [Alien] or Aliens?", ["Alien", "Aliens"]) == "who directed X or Y?"
    assert _unmask("was it X, or Y?", ["Alien", "Aliens"]) == "was it Alien, or Aliens?"
    assert _unmask("was it X?", ["Alien", "Aliens"]) is None, "a name is missing"
    assert _unmask("was it X, Y or Z?", ["Alien", "Aliens"]) is None, "a letter for nobody"
    assert _unmask("no names", []) == "no names"
    assert _unmask("", []) is None
    assert _unmask(r"who made X?", [r"\1 back\slash"]) == r"who made \1 back\slash?"


@pytest.mark.parametrize(
    ("question", "topics"), [("is X in it?", ["it"]), ("who?", ["Alien"]), ("a " * 9, list("abcdefg")), ("Artist", ["Art"])]
)
def test_what_cannot_be_told_back_is_not_asked(question, topics):
    assert _mask(question, topics) is None


def test_paraphrases_are_kept_where_the_plan_survives():
    model = Model([" who made X?", " who made X?", " WHO DIRECTED X?", " who is it?", " X, by whom?"])
    plans = {"who made Alien?": "Alien > directed by", "Alien, by whom?": "Alien > written by"}
    planner = lambda questions: [plans.get(question, "") for question in questions]  # noqa: E731
    asked = (["who directed Alien?"], [["Alien"]], ["Alien > directed by"])
    assert Paraphraser(wordings=5, generator=model).paraphrase(*asked) == [["who made Alien?", "Alien, by whom?"]]
    assert Paraphraser(wordings=5, planner=planner, generator=model).paraphrase(*asked) == [["who made Alien?"]]
    assert Paraphraser(wordings=1, planner=planner, generator=Model(["same"])).paraphrase(*asked) == [[]]


def test_rows_are_followed_by_their_paraphrases():
    rows = question_table(
        {
            "id": ["a", "b"],
            "question": ["who directed Alien?", "who?"],
            "topics": [["Alien"], ["Heat"]],
            "plan": ["p", "q"],
            "kind": ["k", "l"],
        }
    )
    found = Paraphraser(wordings=2, generator=Model([" X by whom?", " who made X?"]))(rows)
    assert found.schema == QUESTION_SCHEMA
    assert found["question"].to_pylist() == ["who directed Alien?", "Alien by whom?", "who made Alien?", "who?"]
    assert found["id"].to_pylist() == ["a", "a-p1", "a-p2", "b"]
    assert found["plan"].to_pylist() == ["p", "p", "p", "q"]


def test_the_model_is_loaded_on_first_use(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    paraphraser = Paraphraser("tiny:llama", wordings=2)
    assert "generator" not in vars(paraphraser)
    assert isinstance(paraphraser.paraphrase(["who directed Alien?"], [["Alien"]], ["p"])[0], list)
    assert "generator" in vars(paraphraser)


def test_a_finished_run_reads_plans_back(tmp_path):
    graph = film_graph(tmp_path)
    planner = SavedPlanner("runs/earlier")
    asked = []

    def generate(prompts, limit, stop):
        asked.extend(prompts)
        return [" Alien > directed_by", " no > > plan"]

    planner.opened = SimpleNamespace(graph=graph, generator=SimpleNamespace(generate=generate))
    assert planner(["who made Alien?", "what?"]) == ["Alien > directed by", ""]
    assert asked == [plan_prompt("who made Alien?"), plan_prompt("what?")]
    assert isinstance(Paraphraser(planner="runs/earlier").planner, SavedPlanner)


def test_a_planner_that_is_not_there_is_named():
    with pytest.raises(AnswerError, match="runs/nowhere"):
        SavedPlanner("runs/nowhere")(["who?"])
