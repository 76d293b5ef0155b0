"""The contract of a method's file, held for every file of every choice folder: adding a file adds its tests."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import MISSING, fields
from typing import Protocol

import pytest

from raykg.config.catalogue import entries, folder_of, kinds
from raykg.config.choice import Chosen, config_class, names
from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, to_dict
from raykg.config.schema import is_config
from tests.architecture.source import PACKAGE, sources

# Folders whose files read what others wrote down, and are no methods out of a paper; there is nothing to search in them either.
UNCITED = {"raykg.kg.formats", "raykg.data.sources", "raykg.data.posts", "raykg.eval.suites"}

METHODS = [(folder, name) for folder in kinds().values() for name in names(folder)]
CITED = [(folder, name) for folder, name in METHODS if folder not in UNCITED]


def test_the_folders_are_found():
    assert {"kg.retrieval", "kg.formats", "data.sources", "train.engines", "answer.strategies"} <= {
        folder.removeprefix("raykg.") for folder in kinds().values()
    }


@pytest.mark.parametrize(("folder", "name"), METHODS)
def test_the_docstring_names_the_method(folder, name):
    entry = next(entry for entry in entries(folder) if entry.name == name)
    assert 10 < len(entry.title) < 160, f"the first line says what it is: {entry.title!r}"
    assert entry.title.endswith("."), "the first line is a sentence"


@pytest.mark.parametrize(("folder", "name"), CITED)
def test_the_docstring_cites_the_method(folder, name):
    entry = next(entry for entry in entries(folder) if entry.name == name)
    assert entry.citation, "the second paragraph starts with `Paper: title, venue year, arXiv or DOI` or with `Source:`"
    if entry.citation.startswith("Paper:"):
        assert any(f"{year}" in entry.citation for year in range(1950, 2030)), f"no year in {entry.citation!r}"


@pytest.mark.parametrize(("folder", "name"), METHODS)
def test_the_settings_are_typed_and_their_defaults_allowed(folder, name):
    section = config_class(folder, name)
    if all(each.default is not MISSING or each.default_factory is not MISSING for each in fields(section)):
        assert from_dict(section, to_dict(section())) == section()


@pytest.mark.parametrize(("folder", "name"), CITED)
def test_the_search_space_is_of_its_settings(folder, name):
    module = importlib.import_module(f"{folder}.{name}")
    search = module.SEARCH
    section = config_class(folder, name)
    wrong = set(search) - {each.name for each in fields(section)}
    assert not wrong, f"SEARCH has {wrong}, which Config has not"
    for key, values in search.items():
        assert len(values) > 1, f"SEARCH[{key!r}] leaves nothing to search"
        for value in values:
            try:
                from_dict(section, {key: value})
            except ConfigErrors as error:  # other settings may be required
                assert not [problem for problem in error.problems if problem.text.startswith(key) and "missing" not in problem.text], error


@pytest.mark.parametrize(("folder", "name"), METHODS)
def test_there_is_one_public_class_and_it_keeps_the_folders_promise(folder, name):
    method = Chosen(folder, name, None).method()
    assert inspect.getdoc(method)
    package = importlib.import_module(folder)
    promises = [
        value for value in vars(package).values() if isinstance(value, type) and Protocol in value.__bases__ and value.__module__ == folder
    ]
    assert promises, f"{folder}/__init__.py writes down as a Protocol what a method does"
    kept = [promise for promise in promises if all(hasattr(method, part) for part in _parts(promise))]
    assert kept, (
        f"{method.__name__} lacks {[sorted(part for part in _parts(promise) if not hasattr(method, part)) for promise in promises]}"
    )


def _parts(promise: type) -> set[str]:
    return {name for name, value in vars(promise).items() if not name.startswith("_") and callable(value)}


def test_sections_are_made_with_config():
    """A class that is called Config, or ends with it, and is not one would escape every check here."""
    wrong = []
    for source in sources():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config") and source.room != "config":
                found = getattr(importlib.import_module(source.module), node.name)
                if not is_config(found):
                    wrong.append(f"{source.path}:{node.lineno}: {node.name} is not made with raykg.config.schema.config")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_choice_of_a_section_names_a_folder_that_is_there():
    written = {
        node.args[0].value
        for source in sources()
        if source.room != "config"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Choice"
        and isinstance(node.args[0], ast.Constant)
    }
    assert written
    for folder in written:
        assert folder_of(folder) == folder
        assert PACKAGE.joinpath(*folder.split(".")[1:], "__init__.py").exists()
