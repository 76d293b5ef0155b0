"""A finished run without a training: the film graph, a tiny model with an adapter, question sets, all where `raykg train` puts them."""

from raykg.data.question_set import write_table
from raykg.data.questions import question_table
from raykg.models import lora, saved
from raykg.models.reference import base_sha256, load_model, resolve
from tests.graphs import film_graph

PLANS = [
    ("who directed Alien?", "Alien", "f1", "Alien > directed by", "Ridley Scott", "ridley_scott", "1-hop"),
    ("who directed Aliens?", "Aliens", "f2", "Aliens > directed by", "James Cameron", "james_cameron", "1-hop"),
    ("what language is Amélie in?", "Amélie", "f6", "Amélie > in language", "french", "french", "1-hop"),
    ("how many films star Arnold?", "Arnold Schwarzenegger", "arnold", "count(Arnold Schwarzenegger < starred actors)", "1", None, "count"),
]


def questions(graph):
    """Return question rows about the film graph."""
    texts, names, keys, plans, answers, answer_keys, kinds = zip(*PLANS, strict=True)
    return question_table(
        {
            "question": list(texts),
            "topics": [[name] for name in names],
            "topic_ids": [[graph.node(key)] for key in keys],
            "plan": list(plans),
            "answers": [[answer] for answer in answers],
            "answer_ids": [[graph.node(key)] if key else [] for key in answer_keys],
            "kind": list(kinds),
            "wording_seen": [True, False, True, True],
        },
        kg_version=graph.version,
        source="test",
    )


def write_run(folder):
    """Write a run and return its graph."""
    graph = film_graph(folder / "store")
    base = resolve("tiny:llama", cache=folder / "cache")
    model = lora.attach(load_model(base, "float32"), lora.LoraConfig(rank=2))
    evaluation = {"contenders": [{"model": "base", "strategy": "closed_book"}, {"strategy": "plan_execute"}], "batch": 2, "resamples": 50}
    saved.write_model(
        folder / "run" / "model",
        model,
        reference="tiny:llama",
        base_sha256=base_sha256(base),
        tokenizer=base,
        graph={"store": str(graph.root), "version": graph.version},
        config={"evaluation": evaluation},
        settings={"facts_tokens": 40},
    )
    (folder / "run" / "config.yaml").write_text("run: {}\n")
    for name in ("train", "test-films"):
        write_table(questions(graph), folder / "run" / "questions" / name, {"set": name})
    return graph
