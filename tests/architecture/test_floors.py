"""Who may import whom: the two tables are the rule, and the only input of the tests."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import Source, sources

# A room imports itself and floors below its own; rooms of one floor are siblings and never import each other.
FLOORS = """
7 cli
6 cluster continual tune serve
5 train
4 eval
3 answer
2 data models
1 kg
0 config
"""

# A package outside -> the rooms, folders and files that may import it, anywhere in them and under TYPE_CHECKING too.
WALLS = {
    "torch": ["models/", "answer/", "eval/", "train/", "continual/", "serve/", "data/collate.py"],
    "ray": [
        "data/",
        "train/launch.py",
        "train/own_ray.py",
        "train/beside.py",
        "train/draining.py",
        "continual/",
        "tune/",
        "serve/",
        "cluster/",
        "cli/",
    ],
    "deepspeed": ["train/engines/deepspeed.py"],
    "peft": ["models/"],
    "pyoxigraph": ["kg/"],
    "pydantic": ["config/", "serve/"],
    "pydantic_core": ["config/", "serve/"],
    "fastapi": ["serve/"],
    "aiohttp": ["answer/endpoint.py", "cluster/job_client.py"],
    "requests": ["cluster/job_client.py"],
    "starlette": ["serve/"],
    "prometheus_client": ["serve/"],
    "opentelemetry": ["serve/tracing.py"],
    "yaml": ["config/", "serve/"],
    "typer": ["cli/"],
    "optuna": ["tune/"],
    "plotly": ["tune/"],
}

# Never imported when a file of these rooms is imported, so that `raykg check` and `raykg --help` stay light.
HEAVY = {"torch", "transformers", "ray", "deepspeed", "peft", "pyoxigraph", "matplotlib", "optuna", "plotly"}

FLOOR_OF = {room: int(line.split()[0]) for line in FLOORS.strip().splitlines() for room in line.split()[1:]}


def floor_problems(source: Source) -> list[str]:
    if source.path == "__init__.py":
        return [f"{source.path}:{found.line}: imports {found.module}, the package itself imports nothing" for found in source.imports()]
    if source.room not in FLOOR_OF:
        return [f"{source.path}: {source.room} is on no floor: write it into FLOORS"]
    problems = []
    for found in source.imports():
        room = found.module.split(".")[1] if found.module.startswith("raykg.") else source.room
        if room == source.room or room == "__version__":
            continue
        if room not in FLOOR_OF:
            problems.append(f"{source.path}:{found.line}: {room} is on no floor")
        elif FLOOR_OF[room] >= FLOOR_OF[source.room]:
            way = "up" if FLOOR_OF[room] > FLOOR_OF[source.room] else "sideways"
            problems.append(f"{source.path}:{found.line}: {source.room} imports {way} from {room}")
    return problems


def wall_problems(source: Source) -> list[str]:
    problems = []
    for found in source.imports():
        package = found.module.split(".")[0]
        if package in WALLS and not source.path.startswith(tuple(WALLS[package])):
            problems.append(f"{source.path}:{found.line}: {package} is imported only in {', '.join(WALLS[package])}")
    return problems


def light_problems(source: Source) -> list[str]:
    """A file that declares a section, and a file of the command line, imports nothing heavy at its top."""
    declares = any(is_section(node) for node in source.tree.body)
    if not declares and source.room != "cli":
        return []
    return [
        f"{source.path}:{found.line}: imports {found.module} at its top: import it in the function that needs it"
        for found in source.imports()
        if found.top and found.module.split(".")[0] in HEAVY
    ]


def is_section(node: ast.AST) -> bool:
    """Return whether a node of a file is a class made with `@config`."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(decorator, ast.Name) and decorator.id == "config" for decorator in node.decorator_list
    )


@pytest.mark.parametrize("find", [floor_problems, wall_problems, light_problems])
def test_the_house_stands(find):
    problems = [problem for source in sources() for problem in find(source)]
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize(
    ("path", "code", "problems"),
    [
        ("kg/x.py", "from raykg.config.schema import config\nimport raykg.kg.graph\nfrom . import store", []),
        ("kg/x.py", "import raykg.data.order", ["kg/x.py:1: kg imports up from data"]),
        ("kg/x.py", "def f():\n    from raykg import train", ["kg/x.py:2: kg imports up from train"]),
        ("data/x.py", "from raykg.models import lora", ["data/x.py:1: data imports sideways from models"]),
        ("data/sources/x.py", "from ...models import lora", ["data/sources/x.py:1: data imports sideways from models"]),
        ("attic/x.py", "", ["attic/x.py: attic is on no floor: write it into FLOORS"]),
        ("__init__.py", "import os", ["__init__.py:1: imports os, the package itself imports nothing"]),
    ],
)
def test_a_wrong_import_between_rooms_is_found(path, code, problems):
    assert floor_problems(Source(path, code, ast.parse(code))) == problems


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("kg/x.py", "def f():\n    import torch.nn", True),
        ("data/x.py", "from torch import nn", True),
        ("data/collate.py", "from torch import nn", False),
        ("train/loop.py", "import ray", True),
        ("train/launch.py", "import ray.train", False),
        ("train/loop.py", "from deepspeed import zero", True),
        ("kg/x.py", "import yaml", True),
        ("models/x.py", "import torch\nimport torchmetrics", False),
    ],
)
def test_a_wrong_import_from_outside_is_found(path, code, found):
    assert bool(wall_problems(Source(path, code, ast.parse(code)))) is found


def test_a_heavy_import_beside_a_section_is_found():
    heavy = "import torch\n@config\nclass Config:\n    a: int = 1\n"
    light = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
    light += "@config\nclass Config:\n    def f(self):\n        import torch\n"
    assert light_problems(Source("models/x.py", heavy, ast.parse(heavy)))
    assert not light_problems(Source("models/x.py", light, ast.parse(light)))
