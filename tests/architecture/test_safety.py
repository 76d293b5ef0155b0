"""Nothing that runs foreign data as code, and nothing of the machine that the project was written on."""

from __future__ import annotations

import ast
import re

from tests.architecture.source import ROOT, Source, sources

# Loading these runs what a stranger wrote into the file.
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
ABSOLUTE = re.compile(r"(?<![\w./-])/(work|root|home/(?!ray/)\w+|Users/\w+)/")  # /home/ray is the same in every image of Ray
TEXTS = (".py", ".md", ".yaml", ".yml", ".toml", ".json", ".sh", ".cfg")


def unsafe(source: Source) -> list[str]:
    problems = [f"{source.path}:{found.line}: {found.module}" for found in source.imports() if found.module.split(".")[0] in UNSAFE_MODULES]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
                problems.append(f"{source.path}:{node.lineno}: {node.func.id}()")
            trusting = any(word.arg == "weights_only" and ast.unparse(word.value) != "True" for word in node.keywords)
            if trusting or (ast.unparse(node.func) == "torch.load" and not any(word.arg == "weights_only" for word in node.keywords)):
                problems.append(f"{source.path}:{node.lineno}: torch.load without weights_only=True")
    return problems


def test_no_data_is_run_as_code():
    problems = [problem for source in sources() for problem in unsafe(source)]
    assert not problems, "\n" + "\n".join(problems)


def test_no_path_of_somebodys_machine_is_in_the_project():
    folders = ("raykg", "jobs", "docs", "clusters", "benchmarks", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in TEXTS]
    files += [file for file in ROOT.iterdir() if file.suffix in TEXTS or file.name in ("Makefile", ".gitignore")]
    assert len(files) > 50
    problems = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        if file.is_file()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if ABSOLUTE.search(line)
    ]
    assert not problems, "\n" + "\n".join(problems)


def test_unsafe_code_is_found():
    code = "import pickle\nfrom dill import loads\neval('1')\ntorch.load('x')\ntorch.load('x', weights_only=False)\nmodel.eval()\n"
    code += "torch.load('x', weights_only=True)\nre.compile('x')\n"
    lines = [int(problem.split(":")[1]) for problem in unsafe(Source("kg/x.py", code, ast.parse(code)))]
    assert lines == [1, 2, 3, 4, 5]


def test_a_ray_that_is_started_is_never_one_that_runs_already():
    """`ray.init(num_cpus=...)` alone joins a cluster that `ray start` left on the machine, and fails because of the size."""
    starts = [
        (source.path, node.lineno, {word.arg: ast.unparse(word.value) for word in node.keywords})
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.init"
    ]
    sized = [start for start in starts if "num_cpus" in start[2]]
    assert sized
    assert [f"{path}:{line}" for path, line, words in sized if words.get("address") != "'local'"] == []
