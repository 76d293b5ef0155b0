"""No dead options: every field of every section is read somewhere outside its own checks."""

from __future__ import annotations

import ast

from tests.architecture.source import Source, sources
from tests.architecture.test_floors import is_section


def options(source: Source) -> list[tuple[str, int, str]]:
    """Return class, line and name of every field of a file's sections."""
    return [
        (node.name, item.lineno, item.target.id)
        for node in ast.walk(source.tree)
        if is_section(node)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def attributes_read(tree: ast.Module) -> set[str]:
    """Return the attributes that a file reads, but for those that a section only checks."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
            return
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def dead(files: tuple[Source, ...]) -> list[str]:
    read = set().union(*(attributes_read(source.tree) for source in files))
    found = [(source.path, *option) for source in files for option in options(source)]
    return [f"{path}:{line}: {name}.{key} is read nowhere" for path, name, line, key in found if key not in read]


def test_every_option_is_read():
    problems = dead(sources())
    assert not problems, "\n" + "\n".join(problems)


def test_a_dead_option_is_found():
    code = "@config\nclass C:\n    used: int = 1\n    unused: int = 2\n    def __post_init__(self):\n        self.unused\n"
    code += "def f(c):\n    return c.used\n"
    assert dead((Source("kg/x.py", code, ast.parse(code)),)) == ["kg/x.py:4: C.unused is read nowhere"]


def test_nobody_reads_a_config_by_a_name_in_text():
    """`getattr(cfg, key)` would hide a dead option from the test above, and a live one from a reader."""
    problems = [
        f"{source.path}:{node.lineno}: {ast.unparse(node)}"
        for source in sources()
        if source.room != "config"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr"
        if ast.unparse(node.args[0]).removeprefix("self.").lstrip("_") in ("cfg", "config")
    ]
    assert not problems, "\n" + "\n".join(problems)
