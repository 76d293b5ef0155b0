"""The package as source text: every file parsed once, and what it imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "raykg"


@dataclass(frozen=True)
class Import:
    """One import statement of a file.

    `top` is False inside a function or under `if TYPE_CHECKING:`, where it costs nothing when the file is imported.
    """

    module: str
    line: int
    top: bool


@dataclass(frozen=True)
class Source:
    path: str  # relative to the package, such as kg/graph.py
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder below raykg/, or the file's name for a file beside the rooms."""
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def module(self) -> str:
        return "raykg." + self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    def imports(self) -> list[Import]:
        found: list[Import] = []
        _collect(self.tree, True, self.path, found)
        return found


@cache
def sources() -> tuple[Source, ...]:
    """Return every Python file of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20, f"only {len(files)} files below {PACKAGE}"
    return tuple(read(file) for file in files)


def read(file: Path) -> Source:
    text = file.read_text(encoding="utf-8")
    return Source(file.relative_to(PACKAGE).as_posix(), text, ast.parse(text))


def _collect(node: ast.AST, top: bool, path: str, found: list[Import]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found.extend(Import(alias.name, child.lineno, top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            if child.level:  # relative to the file's own package
                package = ["raykg", *path.split("/")[:-1]]
                module = ".".join([*package[: len(package) - child.level + 1], module]).rstrip(".")
            found.append(Import(module, child.lineno, top))
            if module == "raykg":  # `from raykg import kg` imports the room
                found.extend(Import(f"raykg.{alias.name}", child.lineno, top) for alias in child.names)
        else:
            inner = top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not _type_checking(child)
            _collect(child, inner, path, found)


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
