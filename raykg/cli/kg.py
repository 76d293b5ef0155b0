"""`raykg kg import | info | query | export`: what a person does with a graph before and after training; `raykg.cli.kg_live` has the rest.

raykg kg import kb.txt --store runs/graphs/metaqa --format tsv --delimiter '|' --literal release_year=integer
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykg.cli import kg_live
from raykg.cli.place import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from raykg.config.choice import Chosen
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.importing import ImportSummary
    from raykg.kg.logical_form import LogicalForm, Proof, Result
    from raykg.kg.source import GraphConfig

app = typer.Typer(no_args_is_help=True, add_completion=False)

Store = Annotated[
    Path, typer.Argument(parser=place, help="Folder of a graph's versions, or of one version; or its URI.", show_default=False)
]
NewStore = Annotated[
    Path | None, typer.Option(parser=place, help="Folder of the graph's versions, or its URI; a YAML file says it.", show_default=False)
]
Version = Annotated[str, typer.Option(help="Version of the store.")]
_CONFIGS = (".yaml", ".yml")
_OPERATOR = re.compile(r"[<>&|\[\]]")


@app.callback()
def describe() -> None:
    """Import, describe, query and export knowledge graphs; snapshots and backups of live ones."""


@app.command("import")
def import_files(
    sources: Annotated[
        list[str],
        typer.Argument(help="Files, globs, URLs (s3://, gs://, https://); builtin:movies; or a YAML file, KEY=VALUE.", show_default=False),
    ],
    store: NewStore = None,
    format: Annotated[
        str | None, typer.Option(help="tsv, csv, jsonl, parquet, ntriples, turtle; by each file's ending if left out.")
    ] = None,  # noqa: A002
    delimiter: Annotated[str | None, typer.Option(help="Character between columns, for tsv and csv.")] = None,
    columns: Annotated[str | None, typer.Option(help="The file's columns in order, for tsv and csv: 'tail,relation,head'.")] = None,
    literal: Annotated[
        list[str] | None, typer.Option(help="RELATION=DATATYPE: its tails are integer, decimal, date, boolean or string.")
    ] = None,
    entities: Annotated[str | None, typer.Option(help="File of names: key, label, aliases, description, type, image.")] = None,
    closed_vocabulary: Annotated[str | None, typer.Option(help="File of entity keys; rows with others are bad.")] = None,
    max_bad_rows: Annotated[int, typer.Option(help="How many bad rows to bear; they go to a dead-letter file.", min=0)] = 0,
    provenance: Annotated[str | None, typer.Option(help="Where the triples come from; by default the file's name.")] = None,
    onto: Annotated[bool, typer.Option("--onto-latest", help="Add to the store's latest version; its ids stay.")] = False,
    wheel: Annotated[str | None, typer.Option(help="For a built-in graph: a local wheel or a folder of wheels.")] = None,
) -> None:
    """Import files into a new version of a graph.

    Rows that cannot be taken go to a dead-letter file with line, byte offset and reason. The same files give the same version.

    Examples:
        raykg kg import kb.txt --store runs/graphs/metaqa --format tsv --delimiter '|' --literal release_year=integer
        raykg kg import 'dumps/*.nt.gz' --store runs/graphs/wiki --max-bad-rows 100
        raykg kg import s3://bucket/triples.parquet --store runs/graphs/mine --entities names.jsonl
        raykg kg import builtin:movies --store runs/graphs/movies
        raykg kg import kb.nt --store s3://bucket/graphs/mine
        raykg kg import jobs/configs/build_kg/smoke.yaml graph.source=builtin:movies
    """
    from raykg.config.errors import RaykgError
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.importing import import_graph

    for_files = (format, delimiter, columns, literal, entities, closed_vocabulary, max_bad_rows, provenance, onto)
    if sources[0].endswith(_CONFIGS):
        _import_config(sources[0], sources[1:], alone=not any((*for_files, store, wheel)))
        return
    if store is None:
        raise RaykgError("--store: is missing: name the folder where the graph's versions live, such as runs/graphs/mine")
    if any(source.startswith("builtin:") for source in sources):
        _import_builtin(sources, store, wheel, alone=not any(for_files))
        return
    with _bar("importing", None) as advance:
        graph, summary = import_graph(
            store,
            sources,
            format=_format(format, delimiter, columns),
            literals=_literals(literal or []),
            closed_vocabulary=closed_vocabulary,
            entities=entities,
            parent=KnowledgeGraph.open(store) if onto else None,
            max_bad_rows=max_bad_rows,
            provenance=provenance,
            progress=lambda _, rows: advance(rows),
        )
    _imported(graph, summary, store)


def _imported(graph: KnowledgeGraph, summary: ImportSummary, store: Path) -> None:
    """Print what an import took, and what it did not."""
    from raykg.kg.mirror import shown

    rows = [("version", summary.version), ("rows read", f"{summary.read:,}"), ("triples taken", f"{summary.taken:,}")]
    rows += [("duplicates", f"{summary.duplicates:,}"), ("names", f"{summary.names:,}")]
    rows += [(f"bad: {kind}", f"{count:,}") for kind, count in sorted(summary.bad.items())]
    rows += [("bad rows in", str(summary.bad_rows))] if summary.bad_rows else []
    rows += [("nodes", f"{graph.num_entities:,}"), ("relations", f"{graph.num_relations:,}"), ("triples", f"{graph.num_triples:,}")]
    rows += [("seconds", f"{summary.seconds:.1f} ({summary.read / max(summary.seconds, 1e-9):,.0f} rows/s)"), ("store", shown(store))]
    _table("imported", ("what", "value"), rows)


def _import_builtin(sources: Sequence[str], store: Path, wheel: str | None, *, alone: bool) -> None:
    """Build a built-in graph; building it again finds it there."""
    from raykg.config.errors import RaykgError
    from raykg.kg.source import GraphConfig

    if len(sources) > 1 or not alone:
        raise RaykgError(f"{' '.join(sources)}: a built-in graph is imported alone, with --store and --wheel only")
    _built(GraphConfig(source=sources[0], store=str(store), wheel=wheel), store)


def _import_config(file: str, overrides: Sequence[str], *, alone: bool) -> None:
    """Import the graph of a job's YAML file; a graph that was imported from the same files before is found there."""
    from raykg.cli.check import section_of
    from raykg.config.errors import RaykgError
    from raykg.config.load import load
    from raykg.kg.mirror import local
    from raykg.train.finetune_config import FinetuneConfig
    from raykg.train.partial_config import GraphJobConfig, QuestionsJobConfig

    if not alone:
        raise RaykgError(f"{file}: says everything itself: change its settings with KEY=VALUE, such as graph.store=runs/graphs/mine")
    section = section_of(Path(file))
    cfg = load(section if section in (FinetuneConfig, QuestionsJobConfig) else GraphJobConfig, file, overrides)
    _built(cfg.graph, local(cfg.run.storage))


def _built(cfg: GraphConfig, storage: Path) -> None:
    """Open a config's graph, importing or building it first where that was not done before, and print what it is."""
    from rich.console import Console

    from raykg.kg.mirror import shown
    from raykg.kg.source import open_graph

    begin = time.monotonic()
    with Console(stderr=True).status(f"importing {cfg.source}"):
        graph = open_graph(cfg, storage)
    rows = [("version", graph.version), ("nodes", f"{graph.num_entities:,}"), ("relations", f"{graph.num_relations:,}")]
    rows += [("triples", f"{graph.num_triples:,}"), ("seconds", f"{time.monotonic() - begin:.1f}")]
    rows += [("store", shown(graph.root.parent.parent if graph.root.parent.name == "versions" else graph.root))]
    _table("imported", ("what", "value"), rows)


@app.command()
def info(store: Store, version: Version = "latest", examples: Annotated[int, typer.Option(help="Example triples.", min=0)] = 5) -> None:
    """Describe a graph: counts, relations with their degrees, example triples, provenance.

    Examples:
        raykg kg info runs/graphs/movies
        raykg kg info runs/graphs/movies --examples 20
    """
    import numpy as np

    from raykg.kg.graph import KnowledgeGraph

    graph = KnowledgeGraph.open(store, version)
    literals = int(graph.is_literal.sum())
    rows = [("version", graph.version), ("parent", graph.manifest.parent or "none"), ("folder", str(graph.root))]
    rows += [("entities", f"{graph.num_entities - literals:,}"), ("literals", f"{literals:,}"), ("triples", f"{graph.num_triples:,}")]
    _table("graph", ("what", "value"), rows)
    relation_ids, table = np.asarray(graph.relation_ids), []
    for relation, name in enumerate(graph.relation_names):
        own = relation_ids == relation
        count, heads, tails = int(own.sum()), len(np.unique(graph.heads[own])), len(np.unique(graph.tails[own]))
        kinds = np.unique(graph.is_literal[graph.tails[own]])
        kind = "mixed" if len(kinds) > 1 else "literals" if len(kinds) and kinds[0] else "entities"
        degrees = (f"{count / max(heads, 1):.2f}", f"{count / max(tails, 1):.2f}")
        table.append((name, graph.relations["key"][relation].as_py(), f"{count:,}", f"{heads:,}", f"{tails:,}", *degrees, kind))
    _table("relations", ("relation", "key", "triples", "heads", "tails", "tails a head", "heads a tail", "tails are"), table)
    if "provenance" in graph.triples.column_names:
        counts = graph.triples["provenance"].value_counts().to_pylist()
        shown = sorted(counts, key=lambda row: -row["counts"])[:10]
        _table(
            "provenance" if len(counts) <= 10 else f"provenance, 10 of {len(counts):,} sources",
            ("source", "triples"),
            [(str(row["values"]), f"{row['counts']:,}") for row in shown],
        )
    step = max(1, graph.num_triples // max(examples, 1))
    picked = list(islice(range(step // 2, graph.num_triples, step), examples))
    triples = [graph.triple(triple) for triple in picked]
    _table("examples", ("head", "relation", "tail"), [(graph.label(h), graph.relation_names[r], graph.label(t)) for h, r, t in triples])


@app.command()
def query(
    store: Store,
    form: Annotated[str, typer.Argument(help="A plan: 'Joel Zwick < directed by > in language'.", show_default=False)],
    version: Version = "latest",
    sparql: Annotated[bool, typer.Option("--sparql", help="Print the translation to SPARQL too (by ids of this version).")] = False,
    limit: Annotated[int, typer.Option(help="Answers and proof triples to print.", min=1)] = 20,
) -> None:
    """Execute a plan and print its answers and the triples that prove them.

    ` > relation` goes from head to tail, ` < relation` back; `&`, `|` and ` - ` combine sets; `count(...)` counts.

    Examples:
        raykg kg query runs/graphs/movies 'Joel Zwick < directed by > in language'
        raykg kg query runs/graphs/movies 'count(Tom Hanks < starred actors [release year >= 1990])' --sparql
    """
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.logical_form import bind, parse, prove, to_sparql

    graph = KnowledgeGraph.open(store, version)
    parsed = parse(form, graph)
    mapping, result = _resolve(parsed, graph)
    bound = bind(parsed, mapping)
    if result.count is not None:
        print(result.count)
    for node in result.answers[:limit].tolist():
        print(_shown(graph, node))
    if len(result.answers) > limit:
        print(f"... and {len(result.answers) - limit:,} more")
    if result.empty:
        print("no answer")
    else:
        proof = prove(bound, graph, result)
        _show_proof(proof, len(result.answers), limit)
    if sparql:
        print(to_sparql(bound, graph))


@app.command()
def export(
    store: Store,
    to: Annotated[Path, typer.Option(help="File to write: .nt, .ttl, .tsv, .csv, .jsonl or .parquet.", show_default=False)],
    version: Version = "latest",
    format: Annotated[str | None, typer.Option(help="The format, where the file's ending does not say it.")] = None,  # noqa: A002
    entities: Annotated[Path | None, typer.Option(help="Also write the names to this .tsv, .csv, .jsonl or .parquet file.")] = None,
) -> None:
    """Write a graph's triples to a file that `raykg kg import` reads back to the same triples.

    Examples:
        raykg kg export runs/graphs/movies --to movies.nt
        raykg kg export runs/graphs/movies --to movies.tsv --entities names.tsv
    """
    from raykg.kg.export import export_graph, write_names
    from raykg.kg.graph import KnowledgeGraph

    graph = KnowledgeGraph.open(store, version)
    with _bar("exporting", graph.num_triples) as advance:
        count = export_graph(graph, to, format, advance)
    print(f"{to}: {count:,} triples of version {graph.version}")
    if entities is not None:
        print(f"{entities}: {write_names(graph, entities):,} names")


def _resolve(form: LogicalForm, graph: KnowledgeGraph) -> tuple[dict[str, int], Result]:
    """Find the nodes that a plan's names mean: of several candidates the first with which the plan has an answer."""
    from raykg.config.errors import RaykgError
    from raykg.kg.linking import Linker
    from raykg.kg.logical_form import bind, entities, execute

    linker = Linker(graph)
    names = list(dict.fromkeys(entity.name for entity in entities(form)))
    found = [linker.link(name, limit=5) for name in names]
    for name, candidates in zip(names, found, strict=True):
        if not candidates:
            raise RaykgError(f"{name!r}: no entity or literal of the graph is called so or nearly so")
    first: tuple[dict[str, int], Result] | None = None
    for choice in islice(product(*found), 25):
        mapping = {name: candidate.node for name, candidate in zip(names, choice, strict=True)}
        result = execute(bind(form, mapping), graph)
        first = first or (mapping, result)
        if not result.empty:
            _say_how(names, choice, graph)
            return mapping, result
    if first is None:
        return {}, execute(form, graph)
    return first


def _show_proof(proof: Proof, answers: int, limit: int) -> None:
    """Print a proof's triples, and what cannot be shown by triples."""
    from raykg.answer.wording import claim_in_words

    count = len(proof.triples)
    if count:
        of = f" for the first {len(proof.answers):,} answers" if len(proof.answers) < answers else ""
        rows = [(triple.head.key, triple.relation.key, triple.tail.key) for triple in proof.triples[:limit]]
        _table(f"proof, version {proof.version}, {count:,} triple{'' if count == 1 else 's'}{of}", ("head", "relation", "tail"), rows)
        if count > limit:
            print(f"... and {count - limit:,} more triples: --limit {count}")
    for claim in proof.claims:
        print(f"checked by executing: {claim_in_words(claim)}")


def _say_how(names: Sequence[str], choice: Sequence[object], graph: KnowledgeGraph) -> None:
    for name, candidate in zip(names, choice, strict=True):
        how, node = getattr(candidate, "how", "exact"), int(getattr(candidate, "node", 0))
        if how != "exact":
            hint = "; operators need a space on either side" if _OPERATOR.search(name) else ""
            print(f"{name!r} read as {_shown(graph, node)} ({how}){hint}")


def _shown(graph: KnowledgeGraph, node: int) -> str:
    label, key = graph.label(node), graph.key(node)
    return label if label == key else f"{label} ({key})"


def _format(name: str | None, delimiter: str | None, columns: str | None) -> Chosen | None:
    from raykg.config.choice import chosen
    from raykg.config.errors import RaykgError

    if name is None:
        if delimiter is not None or columns is not None:
            raise RaykgError("--delimiter, --columns: belong to a format: add --format tsv or --format csv")
        return None
    settings: dict[str, str | list[str]] = {}
    if name in ("tsv", "csv"):
        settings |= {"delimiter": delimiter.replace("\\t", "\t")} if delimiter is not None else {}
        settings |= {"columns": [column.strip() for column in columns.split(",")]} if columns is not None else {}
    elif delimiter is not None or columns is not None:
        raise RaykgError(f"--delimiter, --columns: {name} has neither; they belong to --format tsv and --format csv")
    return chosen("raykg.kg.formats", name, **settings)


def _literals(given: Sequence[str]) -> dict[str, str]:
    from raykg.config.errors import RaykgError

    pairs = [text.rpartition("=") for text in given]
    for text, (relation, _, datatype) in zip(given, pairs, strict=True):
        if not relation or not datatype:
            raise RaykgError(f"--literal {text}: expected RELATION=DATATYPE, as in release_year=integer")
    return {relation: datatype for relation, _, datatype in pairs}


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show rows and rows per second on the terminal while something runs."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows, {task.fields[speed]:,.0f} a second"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, speed=0.0)
        begin = time.monotonic()
        yield lambda rows: progress.update(task, completed=rows, speed=rows / max(time.monotonic() - begin, 1e-9))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, column in enumerate(columns):
        figures = all(row[number][:1].isdigit() for row in rows) and number > 0 and bool(rows)
        table.add_column(column, justify="right" if figures else "left", overflow="fold", no_wrap=number == 0 and len(columns) > 3)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a label such as "[REC]" is no markup
    print(title)  # not the table's own title, which would be cut to the table's width
    Console().print(table)


kg_live.add_to(app)
