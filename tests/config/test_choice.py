import sys

import pytest

from raykg.config.choice import ChoiceError, Chosen, chosen, config_class, find_module, names, public_classes, suggestion
from raykg.config.errors import ConfigErrors
from tests.config.sections import FOLDER


def test_names_are_the_files_of_the_folder_without_private_ones():
    assert names(FOLDER) == ["bare", "kformer", "missing", "named", "prefix"]


def test_names_imports_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "outside_package" / "methods"
    folder.mkdir(parents=True)
    (tmp_path / "outside_package" / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "first.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert names("outside_package.methods") == ["first"]
    assert "outside_package" not in sys.modules


def test_a_folder_that_does_not_exist_is_named():
    for folder in ("raykg.no.such.folder", "no_such_package.methods"):
        with pytest.raises(ChoiceError, match=f"{folder}: no such folder"):
            names(folder)


def test_an_unknown_name_is_refused_with_a_suggestion_and_the_list():
    with pytest.raises(ChoiceError, match=r"\(kfromer\): no such method in .*, did you mean 'kformer'\? \(names: bare, kformer,"):
        find_module(FOLDER, "kfromer")


def test_a_private_file_cannot_be_chosen():
    with pytest.raises(ChoiceError, match="no such method"):
        find_module(FOLDER, "_shared")


def test_a_name_with_a_dot_is_imported_as_given():
    assert find_module("raykg.no.matter", "tests.config.sample_methods.kformer").__name__ == "tests.config.sample_methods.kformer"
    with pytest.raises(ChoiceError, match=r"\(not\.there\): cannot be imported: No module named 'not'"):
        find_module(FOLDER, "not.there")
    with pytest.raises(ChoiceError, match="cannot be imported"):
        find_module(FOLDER, "..relative")


def test_a_missing_dependency_is_named():
    with pytest.raises(ChoiceError, match=r"\(missing\): cannot be imported: No module named 'a_module_that_nobody_has'"):
        find_module(FOLDER, "missing")


def test_a_file_that_is_not_a_method_is_refused():
    with pytest.raises(ChoiceError, match="is not a method, it has no class Config"):
        config_class(FOLDER, "bare")
    with pytest.raises(ChoiceError, match="a setting called `name`"):
        config_class(FOLDER, "named")


def test_chosen_gives_typed_settings_its_module_and_its_one_public_class():
    choice = chosen(FOLDER, "kformer", facts=4)
    assert (choice.name, choice.config.facts, choice.config.layers) == ("kformer", 4, (-3, -2, -1))
    assert choice.method().__name__ == "Kformer"
    assert [found.__name__ for found in public_classes(choice.module())] == ["Kformer"]
    with pytest.raises(ConfigErrors, match="facts"):
        chosen(FOLDER, "kformer", facts=0)


def test_a_file_with_two_public_classes_has_no_method():
    with pytest.raises(ChoiceError, match="exactly one public class beside Config, found One, Two"):
        Chosen(FOLDER, "prefix", None).method()


def test_suggestion_is_empty_when_nothing_is_near():
    assert suggestion("zzz", ["alpha"]) == ""
    assert suggestion("Alpah", ["alpha"]) == ", did you mean 'alpha'?"
