"""What README and docs say holds: commands and options exist, YAML loads, links lead somewhere, light commands run as written."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from raykg.cli.main import COMMANDS, find_command
from raykg.config.catalogue import entries, kinds
from raykg.config.load import load
from raykg.kg import mirror
from raykg.kg.build import from_triples
from raykg.kg.export import export_graph
from raykg.kg.logical_form import bind, parse, prove, verify, write
from raykg.train.finetune_config import FinetuneConfig

ROOT = Path(__file__).parent.parent
NAMES = ("README.md", "docs/plans.md", "docs/questions.md", "docs/answers.md", "docs/jobs.md", "docs/clusters.md")
PAGES = {page: (ROOT / page).read_text(encoding="utf-8") for page in NAMES}


def blocks(language, pages=tuple(PAGES)):
    """Return the code blocks of a language, as (page, text)."""
    return [(page, text) for page in pages for text in re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)]


def command_lines():
    """Return every line that calls raykg, in blocks and between backticks."""
    lines = [line for _, text in blocks("bash") for line in text.replace("\\\n", " ").splitlines() if line.startswith("raykg ")]
    return sorted({*lines, *(text for page in PAGES.values() for text in re.findall(r"`(raykg [a-z][^`\n]*)`", page))})


def text_after(start):
    """Return the README's text block behind the bash block that holds `start`."""
    return PAGES["README.md"].split(start, 1)[1].split("```text\n", 1)[1].split("```", 1)[0]


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_names_a_command_and_options_that_exist(line, monkeypatch):
    monkeypatch.setattr(mirror, "local", Path)  # the pages' buckets are nobody's
    name, *arguments = shlex.split(re.sub(r" > [\w.]+$", "", line))[1:]  # without where its output goes
    assert name in COMMANDS
    command = find_command(name)
    if name == "kg" and arguments:
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if arguments:  # `raykg kg export` alone only names the command
        command.make_context(name, arguments)


def test_the_check_of_command_lines_refuses_what_is_not_there():
    with pytest.raises(Exception, match="No such option"):
        find_command("evaluate").make_context("evaluate", ["run", "--rowz", "3"])
    assert len(command_lines()) > 15


def test_configs_load_and_the_excerpt_is_the_quickstarts():
    found = [text for _, text in blocks("yaml")]
    assert len(found) == 3
    quickstart = yaml.safe_load((ROOT / "jobs/configs/finetune/quickstart.yaml").read_text(encoding="utf-8"))
    assert_within(yaml.safe_load(found[0]), quickstart)


@pytest.mark.parametrize("number", range(3))
def test_yaml_loads(number, tmp_path):
    (tmp_path / "run.yaml").write_text(blocks("yaml")[number][1], encoding="utf-8")
    overrides = ["train.batch=64", "lora.rank=32", "run.name=wider"]  # the README's
    assert load(FinetuneConfig, tmp_path / "run.yaml", overrides).train.batch == 64


def assert_within(part, whole):
    """Everything that the part says stands in the whole."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert_within(value, whole[key])
    elif isinstance(part, list):
        for value, other in zip(part, whole, strict=True):
            assert_within(value, other)
    else:
        assert part == whole


def test_mistakes_read_as_shown(tmp_path):
    text = blocks("yaml")[1][1].replace("1e-3", "fast").replace("{name: torch}", "{name: deepspeed, zero: 1}")
    (tmp_path / "films.yaml").write_text(text, encoding="utf-8")
    assert ran("raykg check films.yaml || true", tmp_path) == text_after("raykg doctor films.yaml")


def test_a_graph_of_ones_own_is_imported_and_asked_as_shown(tmp_path):
    [script] = [text for _, text in blocks("bash") if "> films.tsv" in text]
    out = ran(script, tmp_path)
    shown = [line for line in text_after("> films.tsv").splitlines() if line != "..."]
    assert [line for line in shown if line not in out.splitlines()] == []
    letters = [json.loads(line) for file in tmp_path.glob("graphs/films/bad-rows/*.jsonl") for line in file.read_text().splitlines()]
    assert sorted(letter["line"] for letter in letters) == [6, 7]
    (tmp_path / "names.tsv").write_text("key\tlabel\taliases\tdescription\nAlien\tAlien\tAlien 1|Alien: The Eighth Passenger\tA film\n")
    ran("raykg kg import films.tsv --store graphs/films --max-bad-rows 2 --entities names.tsv", tmp_path)
    assert "Ridley Scott" in ran("raykg kg query graphs/films 'Alien 1 > directed by'", tmp_path)


def ran(script, folder):
    """Run a shell script with `raykg` being this one; return output and errors."""
    shell = f"set -e\nraykg() {{ {shlex.quote(sys.executable)} -c 'from raykg.cli.main import main; main()' \"$@\"; }}\n{script}"
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "110", "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    process = subprocess.run(
        ["bash", "-c", shell],
        cwd=folder,
        env=environment,
        text=True,
        timeout=120,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    return process.stdout


def test_plans_parse_and_are_canonical():
    rows = re.findall(r"^\| `(.+?)` \|", PAGES["docs/plans.md"], re.MULTILINE)
    plans = [row.replace("\\|", "|") for row in rows] + re.findall(r"kg query \S+ '(.+?)'", PAGES["README.md"])
    assert len(plans) > 12
    for plan in [*plans, '"AC - DC" < performed by', 'X [title = "1984"]']:
        assert write(parse(plan)) == plan


def test_proofs_are_checked_as_shown(tmp_path):
    graph = from_triples(tmp_path / "runs/graphs/movies", [("A Film", "directed by", "Joel Zwick"), ("A Film", "in language", "English")])
    form = parse("Joel Zwick < directed by > in language", graph)
    proof = prove(bind(form, {"Joel Zwick": graph.node("Joel Zwick")}), graph)
    assert verify(proof, graph)
    (tmp_path / "answer.json").write_text(json.dumps({"proof": proof.to_dict()}))
    export_graph(graph, tmp_path / "graph.tsv", None)
    scripts = [text for _, text in blocks("python")]
    said = [checked(script, tmp_path) for script in scripts]
    assert said == ["True None\n", "every answer follows from the graph\n"]
    (tmp_path / "graph.tsv").write_text("A Film\tdirected by\tJoel Zwick\n")
    with pytest.raises(subprocess.CalledProcessError):
        checked(scripts[1], tmp_path)


def checked(script, folder):
    """Run a Python script in a folder; return its output."""
    return subprocess.run([sys.executable, "-c", script], cwd=folder, text=True, timeout=120, capture_output=True, check=True).stdout


def test_links_and_pictures_lead_to_files():
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert target.startswith("https://") or ((ROOT / page).parent / target).is_file(), f"{page}: {target}"


def test_the_methods_listed_are_those_there_are():
    for kind, folder in kinds().items():
        row = next(line for line in PAGES["README.md"].splitlines() if line.startswith(f"| `{kind}`"))
        assert set(re.findall(r"`([\w.]+)`", row)) == {kind, *(entry.name for entry in entries(folder))}
