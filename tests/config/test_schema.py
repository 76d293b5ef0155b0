import dataclasses
import pickle
import subprocess
import sys

import pytest

from raykg.config.schema import Choice, Chosen, config, field, is_config
from tests.config.sections import Run, Train


def test_a_section_is_frozen_has_slots_and_takes_keywords_only():
    section = Train(batch=8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        section.batch = 9
    assert not hasattr(section, "__dict__")
    with pytest.raises(TypeError):
        Train(8)
    assert pickle.loads(pickle.dumps(section)) == section


def test_a_field_without_a_type_is_refused_instead_of_silently_not_being_a_field():
    with pytest.raises(TypeError, match=r"Wrong\.batch has no type"):

        @config
        class Wrong:
            batch = 3


def test_methods_properties_and_inner_classes_need_no_type():
    @config
    class Fine:
        batch: int = 3

        @property
        def double(self) -> int:
            return 2 * self.batch

        @classmethod
        def make(cls):
            return cls()

        @staticmethod
        def one():
            return 1

    assert Fine.make().double == 6


def test_rules_run_on_direct_construction_too():
    with pytest.raises(ValueError, match=r"batch \(9\) must be a multiple of micro_batch \(8\)"):
        Train(batch=9)


def test_is_config_knows_sections_from_other_classes():
    @dataclasses.dataclass
    class Plain:
        a: int = 1

    class Below(Run):
        pass

    assert is_config(Train)
    assert not is_config(Plain) and not is_config(Train()) and not is_config(int) and not is_config(Below)


def test_choice_is_written_in_two_ways_that_mean_the_same():
    from typing import Annotated, Literal, get_args

    for annotation in (Choice["a.b"], Choice[Literal["a.b"]], Annotated[Chosen, Choice("a.b")]):
        kind, mark = get_args(annotation)
        assert kind is Chosen and mark.folder == "a.b"
    assert repr(Choice("a.b")) == "Choice('a.b')"


def test_declaring_sections_imports_no_pydantic_and_nothing_heavy():
    code = """
import sys
from raykg.config.schema import PositiveInt, config
@config
class Section:
    batch: PositiveInt = 1
Section()
print([name for name in ("pydantic", "torch", "ray", "numpy", "yaml") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_field_is_the_dataclasses_one():
    assert field is dataclasses.field
