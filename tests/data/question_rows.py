"""Question rows over the film graph, for tests of what comes after the questions."""

from pathlib import Path

from raykg.data.question_set import QuestionSet, write_table
from raykg.data.questions import question_table
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.logical_form import bind, execute, parse, write
from raykg.models import tiny
from tests.graphs import film_graph

# question, topics, their keys, plan
FILM_QUESTIONS = [
    ("who directed Alien?", ["Alien"], ["f1"], "Alien > directed by"),
    ("films with Sigourney Weaver", ["Sigourney Weaver"], ["sigourney_weaver"], "Sigourney Weaver < starred actors"),
    ("how many films has Sigourney Weaver?", ["Sigourney Weaver"], ["sigourney_weaver"], "count(Sigourney Weaver < starred actors)"),
    ("Sigourney Weaver's longest film", ["Sigourney Weaver"], ["sigourney_weaver"], "Sigourney Weaver < starred actors [max runtime]"),
    (
        "horror not by Ridley Scott",
        ["horror", "Ridley Scott"],
        ["horror", "ridley_scott"],
        "horror < has genre - Ridley Scott < directed by",
    ),
    ("other films by the director of Alien", ["Alien"], ["f1"], "~Alien > directed by < directed by"),
    ("which is longer, Aliens or Blade Runner?", ["Aliens", "Blade Runner"], ["f2", "f3"], "(Aliens | Blade Runner) [max runtime]"),
]


def film_questions(folder: Path, graph: KnowledgeGraph, times: int = 1) -> QuestionSet:
    """Write the questions, each `times` times, with answers by executing their plans."""
    rows = []
    for question, topics, keys, plan in FILM_QUESTIONS * times:
        nodes = [graph.node(key) for key in keys]
        form = bind(parse(plan, graph), dict(zip(topics, nodes, strict=True)))
        result = execute(form, graph)
        answers = [str(result.count)] if result.count is not None else graph.labels(result.answers)
        values = (question, topics, nodes, write(form), answers, result.answers.tolist())
        rows.append(dict(zip(("question", "topics", "topic_ids", "plan", "answers", "answer_ids"), values, strict=True)))
    return write_table(
        question_table({key: [row[key] for row in rows] for key in rows[0]}, kg_version=graph.version), folder, {"times": times}
    )


def film_files(folder: Path, times: int) -> tuple[str, str]:
    """Write what a stream opens, `graph/`, `questions/` and `tokenizer/`; return the graph's folder and version."""
    graph = film_graph(folder / "graph")
    film_questions(folder / "questions", graph, times)
    tiny.tokenizer().save_pretrained(folder / "tokenizer")
    return str(folder / "graph"), graph.version
