import pytest

from raykg.config import catalogue
from raykg.config.catalogue import Entry, entries, folder_of, kinds
from raykg.config.choice import ChoiceError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three choice folders, two of one name, beside one that is none."""
    for path, text in {
        "answer/strategies/walk.py": '"""Walk: step\nby step.\n\nPaper: A Paper,\nICLR 2024.\n\nMore.\n"""\nclass Config: ...',
        "continual/strategies/replay.py": '"""Replay."""\nclass Config: ...',
        "data/sources/file.py": '"""File.\n\nReads it.\n"""\nclass Config: ...',
        "data/sources/_shared.py": '"""Shared."""',
        "data/plain/reader.py": '"""No method."""\nclass Reader:\n    class Config: ...',
        "data/questions.py": '"""A room\'s own file."""\nclass Config: ...',
    }.items():
        file = tmp_path / "raykg" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(catalogue, "PACKAGE", tmp_path / "raykg")
    monkeypatch.setattr(
        catalogue,
        "names",
        lambda folder: sorted(file.stem for file in tmp_path.joinpath(*folder.split(".")).glob("*.py") if not file.stem.startswith("_")),
    )


def test_kinds_are_the_folders_with_settings_and_the_room_stands_before_a_shared_name(package):
    assert kinds() == {
        "answer.strategies": "raykg.answer.strategies",
        "continual.strategies": "raykg.continual.strategies",
        "sources": "raykg.data.sources",
    }


def test_a_kind_is_found_by_any_of_its_names(package):
    for kind in ("sources", "data.sources", "raykg.data.sources"):
        assert folder_of(kind) == "raykg.data.sources"
    with pytest.raises(
        ChoiceError, match=r"^strategies: several rooms have such a folder, name one: answer\.strategies, continual\.strategies$"
    ):
        folder_of("strategies")
    with pytest.raises(ChoiceError, match=r"^sorces: no such kind of method, did you mean 'sources'\? \(kinds: answer\.strategies,"):
        folder_of("sorces")


def test_entries_are_read_from_the_docstrings(package):
    assert entries("raykg.answer.strategies") == [Entry("walk", "Walk: step by step.", "Paper: A Paper, ICLR 2024.")]
    assert entries("raykg.data.sources") == [Entry("file", "File.", "")]


def test_the_real_package_has_methods():
    assert "khop" in [entry.name for entry in entries(folder_of("retrieval"))]
