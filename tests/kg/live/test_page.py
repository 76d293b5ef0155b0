"""What docs/live.md says holds: its commands exist, its Python runs, its outcomes are those of the code."""

import re
import shlex
from pathlib import Path

import pytest

from raykg.cli.main import COMMANDS, find_command
from raykg.config.load import load
from raykg.kg.live import errors
from raykg.serve.serve_config import ServeConfig
from tests.graphs import film_graph

PAGE = (Path(__file__).parents[3] / "docs/live.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LINES = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines() if line.startswith("raykg ")]


@pytest.mark.parametrize("line", LINES)
def test_its_commands_exist(line):
    name, *arguments = shlex.split(line, comments=True)[1:]
    assert name in COMMANDS
    if name == "kg":
        find_command(name).commands[arguments[0]].make_context(name, arguments[1:])
    elif name == "serve":
        cfg = load(ServeConfig, Path(__file__).parents[3] / arguments[0], arguments[1:])
        assert cfg.graph.functional == ("release year",) and cfg.graph.storage == "runs/live/movies"


def test_its_python_runs(tmp_path, monkeypatch):
    film_graph(tmp_path / "runs/graphs/movies")
    monkeypatch.chdir(tmp_path)
    [script] = [text for language, text in BLOCKS if language == "python"]
    names: dict = {}
    exec(script, names)
    assert names["live"].view().version and len(LINES) == 5


def test_its_outcomes_are_those_of_the_code():
    codes = {error.code for error in vars(errors).values() if isinstance(error, type) and issubclass(error, errors.LiveError)}
    named = set(re.findall(r"`([a-z_]+)`", PAGE.split("| asked for | outcome |")[1].split("\n\n")[0]))
    assert named - {"duplicate", "replace", "allow_new"} <= codes and len(named) > 6
