"""`raykg ask "..."`: one question to a fine-tuned model, with the plan, the proof and the graph's version."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykg.cli.place import place

if TYPE_CHECKING:
    from raykg.answer.engine_config import EngineConfig
    from raykg.answer.question import Answer
    from raykg.config.choice import Chosen
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.logical_form import Proof
    from raykg.models.saved import SavedModel

_PROOF_LINES = 5

# Options of every command that asks a model.
Endpoint = Annotated[
    str | None, typer.Option(help="Base URL of an engine that has the tuned model, such as http://127.0.0.1:8001/v1.", show_default=False)
]
EngineSettings = Annotated[
    list[str] | None, typer.Option(help="More about it, such as model=films or grammar=none; may be repeated.", show_default=False)
]


def command(
    question: Annotated[str, typer.Argument(help="The question; [names in brackets] are its topics.", show_default=False)],
    model: Annotated[
        Path | None,
        typer.Option(
            parser=place, help="A run's folder, or its model/, or the URI of one; by default the newest in runs/.", show_default=False
        ),
    ] = None,
    strategy: Annotated[str, typer.Option(help="How to answer: see `raykg list answer.strategies`.")] = "plan_execute",
    passages: Annotated[
        Path | None, typer.Option(help="Texts that may say what the graph lacks (.txt or .jsonl), for cogmg and auto.", show_default=False)
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="The question is a plan already: execute it, without the model.")] = False,
    show_proof: Annotated[bool, typer.Option("--show-proof", help="Show every line of the proof.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer record, which `raykg verify` checks.")] = False,
    device: Annotated[str, typer.Option(help="A torch device, such as cuda.")] = "cpu",
    endpoint: Endpoint = None,
    engine: EngineSettings = None,
) -> None:
    """Ask a fine-tuned model a question and see the proof of its answer.

    The model writes a plan, the graph answers it. The proof names the triples that lead to the answer and is checked before it is shown.

    Examples:
        raykg ask "who directed Alien?"
        raykg ask "who starred in films directed by Ridley Scott?" --model runs/quickstart --show-proof
        raykg ask "who directed [Alien]?" --strategy read
        raykg ask "who directed Alien?" --json > answer.json; raykg verify answer.json
        raykg ask "who directed Alien?" --strategy auto --passages films.txt
        raykg ask "Alien > directed by" --plan
        raykg ask "who directed Alien?" --endpoint http://127.0.0.1:8001/v1 --engine model=films
    """
    from raykg.answer.opening import open_engine, open_graph, open_model, open_saved
    from raykg.answer.question import Question
    from raykg.answer.record import record_of
    from raykg.cli.quiet import quiet_libraries

    quiet_libraries()
    started = time.perf_counter()
    run = model or newest_run(Path("runs"))
    saved = open_saved(run)
    identity = None
    elsewhere = engine_of(endpoint, engine or [])
    if plan:
        graph = open_graph(saved)
        answer = _execute(question, graph)
    else:
        chosen = choose(strategy, saved, passages)  # before the model is loaded: a wrong name is said at once
        opened = open_model(run, device=device) if elsewhere is None else open_engine(run, elsewhere, run_name(run))
        graph, identity = opened.graph, opened.identity
        topics = tuple(re.findall(r"\[([^\[\]]+)\]", question)) or None
        answer = opened.strategy(chosen).answer([Question(question, topics)])[0]
    if as_json:
        model_of = None if identity is None else {"name": run_name(run), "identity": identity}
        timings = {"total": time.perf_counter() - started, "answer": answer.seconds}
        print(json.dumps(record_of(question, answer, graph, model_of, timings), ensure_ascii=False, indent=2))
    else:
        show(answer, graph, None if show_proof else _PROOF_LINES)


def choose(strategy: str, saved: SavedModel, passages: Path | None = None) -> Chosen:
    """Return a strategy with the settings that the model was trained with.

    Raises:
        AnswerError: there is no such strategy, and the message lists and suggests; or it reads no passages.
    """
    from raykg.answer.opening import choose_strategy
    from raykg.answer.question import AnswerError
    from raykg.config.choice import ChoiceError

    try:
        return choose_strategy(strategy, saved, None if passages is None else str(passages))
    except ChoiceError as error:
        raise AnswerError(f"--strategy {error}") from error


def engine_of(endpoint: str | None, settings: list[str]) -> EngineConfig | None:
    """Return the engine that the options describe, None without `--endpoint`.

    Raises:
        ConfigErrors: an address that is none, or a setting that engines do not have.
        AnswerError: settings of an engine and no endpoint.
    """
    from raykg.answer.engine_config import EngineConfig
    from raykg.answer.question import AnswerError
    from raykg.config.load import load

    if endpoint is None:
        if settings:
            raise AnswerError(f"--engine ({settings[0]}): says more about an engine: give its address with --endpoint")
        return None
    return load(EngineConfig, None, [f"endpoint={endpoint}", *settings])


def run_name(run: Path) -> str:
    """Return the name of a run, given its folder or its `model/`."""
    folder = run.resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def newest_run(storage: Path) -> Path:
    """Return the run in `storage` that was finished last.

    Raises:
        AnswerError: there is none.
    """
    from raykg.answer.question import AnswerError

    finished = sorted(storage.glob("*/model/model.json"), key=lambda path: path.stat().st_mtime)
    if not finished:
        raise AnswerError(f"model: no finished run in {storage}/: name one with --model, or make one with `raykg train CONFIG`")
    return finished[-1].parent.parent


def show(answer: Answer, graph: KnowledgeGraph, lines: int | None) -> None:
    """Print an answer, its plan and at most `lines` lines of its proof."""
    from raykg.answer.support import settled
    from raykg.answer.wording import answer_in_words, proof_in_words
    from raykg.kg.logical_form import fault

    answer = settled(answer, graph)
    print(answer_in_words(answer))
    for pattern in answer.missing:
        print(f"missing     {pattern.head} -> {pattern.relation} -> {pattern.tail}")
    for fact in answer.proposals:
        says = f"{fact.how}{f' {fact.source}: {fact.evidence}' if fact.source else ''}"
        print(f"unverified  {fact.head} -> {fact.relation} -> {fact.tail} ({says})")
    if answer.unverified and not answer.proposals:
        print(f"unverified  {'; '.join(answer.unverified)}")
    if answer.plan is not None:
        print(f"\nplan   {answer.plan}")
    if answer.proof is not None:
        for name, meant in _read_as(answer.proof, graph):
            print(f"read   {name!r} as {meant}")
        told = proof_in_words(answer.proof, graph)
        wrong = fault(answer.proof, graph)
        triples = len(answer.proof.triples)
        some = f" for {len(answer.proof.answers)} of {len(answer.ids):,} answers" if len(answer.proof.answers) < len(answer.ids) else ""
        print(f"proof  {triples} triple{'' if triples == 1 else 's'}{some}, {'checked' if wrong is None else f'NOT VALID: {wrong}'}")
        for line in told[:lines]:
            print(f"       {line}")
        if lines is not None and len(told) > lines:
            print(f"       ... {len(told) - lines} more lines: --show-proof")
    elif answer.citations:
        print("\nread in")
        for triple in answer.citations:
            head, relation, tail = graph.triple(triple)
            print(f"       {graph.label(head)} -> {graph.relation_names[relation]} -> {graph.label(tail)}")
    print(f"graph  version {graph.version}")


def _read_as(proof: Proof, graph: KnowledgeGraph) -> list[tuple[str, str]]:
    """Return the names of a plan that no node has, with the label of the node that was taken instead."""
    from raykg.kg.linking import fold
    from raykg.kg.logical_form import entities, parse

    names = dict(zip((entity.name for entity in entities(parse(proof.plan))), (term.node for term in proof.entities), strict=True))
    called = {name: [graph.label(node), graph.key(node), *(graph.entities["aliases"][node].as_py() or [])] for name, node in names.items()}
    return [(name, own[0]) for name, own in called.items() if fold(name) not in map(fold, own)]


def _execute(plan: str, graph: KnowledgeGraph) -> Answer:
    """Execute a plan that the user wrote.

    Raises:
        AnswerError: it is no plan.
    """
    from typing import Any, cast

    from raykg.answer.question import AnswerError
    from raykg.answer.strategies.plan_execute import Config, PlanExecute
    from raykg.kg.linking import Linker

    answer = PlanExecute(Config(), graph, Linker(graph), cast(Any, None)).run(plan)
    if answer.status == "unparsable":  # the user's mistake, not the model's
        raise AnswerError(str(answer.error))
    return answer
