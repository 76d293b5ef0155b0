import pytest

from raykg.data.targets import TargetsConfig


def test_defaults_are_allowed() -> None:
    assert TargetsConfig().plan + TargetsConfig().read == pytest.approx(1.0)


def test_shares_must_add_up() -> None:
    with pytest.raises(ValueError, match=r"plan \(0.5\) \+ read \(0.2\) must be 1: set read to 0.5"):
        TargetsConfig(plan=0.5)


def test_facts_must_leave_room_for_the_question() -> None:
    with pytest.raises(ValueError, match=r"facts_tokens \(64\) must be below max_tokens \(64\)"):
        TargetsConfig(max_tokens=64)
    assert TargetsConfig(max_tokens=64, plan=1.0, read=0.0).max_tokens == 64
