"""Files of at most 400 lines, functions of at most 60, no drawers for odds and ends, a docstring on everything public."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import Source, sources

FILE_LINES = 400
FUNCTION_LINES = 60
DRAWERS = ("util", "helper", "common", "constant", "manager", "legacy", "misc", "handler")


def definitions(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Yield every function and class with its dotted name; a function inside a function is its owner's business but for its length."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{inside}.{child.name}" if inside else child.name
            yield name, child
            yield from definitions(child, name if isinstance(child, ast.ClassDef) else f"{name}.<locals>")
        else:
            yield from definitions(child, inside)


def too_long(source: Source) -> list[str]:
    lines = len(source.text.splitlines())
    problems = [f"{source.path}: {lines} lines, at most {FILE_LINES}"] if lines > FILE_LINES else []
    for name, node in definitions(source.tree):
        length = (node.end_lineno or 0) - node.lineno + 1
        if not isinstance(node, ast.ClassDef) and length > FUNCTION_LINES:
            problems.append(f"{source.path}:{node.lineno}: {name} has {length} lines, at most {FUNCTION_LINES}")
    return problems


def undocumented(source: Source) -> list[str]:
    problems = [] if ast.get_docstring(source.tree) else [f"{source.path}: no docstring"]
    for name, node in definitions(source.tree):
        parts = name.split(".")
        public = (
            not any(part.startswith("_") and not (part == "__init__" or part == "<locals>") for part in parts) and "<locals>" not in parts
        )
        overload = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
        if public and parts[-1] != "__init__" and not overload and not ast.get_docstring(node):
            problems.append(f"{source.path}:{node.lineno}: {name} has no docstring")
    return problems


def drawers(source: Source) -> list[str]:
    names = [part.removesuffix(".py") for part in source.path.split("/")] + [
        name for name, _ in definitions(source.tree) if "." not in name
    ]
    return [f"{source.path}: {name} is a drawer: name it after the noun it serves" for name in names if _is_drawer(name)]


def _is_drawer(name: str) -> bool:
    return name.lower().rstrip("s").endswith(DRAWERS) or name.lower().startswith("legacy")


def test_files_and_functions_can_be_read_in_one_go():
    problems = [problem for source in sources() for problem in too_long(source)]
    assert not problems, "\n" + "\n".join(problems)


def test_everything_public_has_a_docstring():
    problems = [problem for source in sources() for problem in undocumented(source)]
    assert not problems, "\n" + "\n".join(problems)


def test_there_are_no_drawers():
    problems = [problem for source in sources() for problem in drawers(source)]
    assert not problems, "\n" + "\n".join(problems)


def test_the_tests_here_find_what_they_look_for():
    code = "class A:\n    def f(self):\n        pass\n    def _g(self):\n        pass\n" + "def long():\n" + "    x = 1\n" * 60
    source = Source("kg/utils.py", code, ast.parse(code))
    assert too_long(source) == ["kg/utils.py:6: long has 61 lines, at most 60"]
    assert too_long(Source("kg/x.py", "\n" * 401, ast.parse(""))) == ["kg/x.py: 401 lines, at most 400"]
    assert [problem.split(": ")[1] for problem in undocumented(source)] == [
        "no docstring",
        "A has no docstring",
        "A.f has no docstring",
        "long has no docstring",
    ]
    assert drawers(source) == ["kg/utils.py: utils is a drawer: name it after the noun it serves"]
    assert not _is_drawer("commonness") and _is_drawer("SessionManager") and _is_drawer("legacy_reader")
