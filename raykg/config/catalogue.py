"""What there is to choose: every choice folder of the package and the methods in it, read from their files without importing them.

A choice folder is a folder inside a room (`models/injection/`, `data/sources/`) in which a file defines `Config`. Its kind is its name;
where two rooms have a folder of one name, the room stands before it (`answer.strategies`).
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from raykg.config.choice import ChoiceError, names, suggestion

PACKAGE = Path(__file__).resolve().parent.parent
_CITATIONS = ("Paper:", "Source:")


@dataclass(frozen=True)
class Entry:
    """Is a method as its file presents itself.

    Attributes:
        name: the file's name, which is what a config says.
        title: the first line of its docstring.
        citation: the paragraph after it, where that starts with `Paper:` or `Source:`; otherwise empty.
    """

    name: str
    title: str
    citation: str


def kinds() -> dict[str, str]:
    """Return every kind of method with the dotted name of its folder, sorted by kind."""
    folders = sorted({file.parent for file in PACKAGE.glob("*/**/*.py") if _is_method(file)})
    dotted = [".".join(("raykg", *folder.relative_to(PACKAGE).parts)) for folder in folders]
    often = Counter(name.rsplit(".", 1)[1] for name in dotted)
    return dict(sorted((_kind(name, often), name) for name in dotted))


def folder_of(kind: str) -> str:
    """Return the folder of a kind, which may be given with its room (`data.sources`) or as the folder's whole dotted name.

    Raises:
        ChoiceError: there is no such kind; suggests and lists.
    """
    known = kinds()
    fitting = [folder for folder in known.values() if folder == kind or folder.endswith(f".{kind}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        short = ", ".join(folder.removeprefix("raykg.") for folder in fitting)
        raise ChoiceError(f"{kind}: several rooms have such a folder, name one: {short}")
    raise ChoiceError(f"{kind}: no such kind of method{suggestion(kind, known)} (kinds: {', '.join(known)})")


def entries(folder: str) -> list[Entry]:
    """Return the methods of a choice folder, sorted by name."""
    place = PACKAGE.joinpath(*folder.split(".")[1:])
    return [_entry(place / f"{name}.py") for name in names(folder)]


def _kind(dotted: str, often: Counter[str]) -> str:
    room, name = dotted.split(".")[-2:]
    return name if often[name] == 1 else f"{room}.{name}"


def _is_method(file: Path) -> bool:
    inside_a_room = len(file.relative_to(PACKAGE).parts) > 2
    text = file.read_text(encoding="utf-8") if inside_a_room and not file.stem.startswith("_") else ""
    return "class Config" in text and any(isinstance(node, ast.ClassDef) and node.name == "Config" for node in ast.parse(text).body)


def _entry(file: Path) -> Entry:
    paragraphs = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")
    second = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
    return Entry(file.stem, " ".join(paragraphs[0].split()), second if second.startswith(_CITATIONS) else "")
