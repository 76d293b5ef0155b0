"""Frames are phrases too: well-formed, with just the places that the code which uses them fills."""

import random
import re

import pytest

from raykg.data import frames
from raykg.data.phrases import check, count, expand

HOLES = {
    "PLURAL": {"p"},
    "PLURAL_PEOPLE": {"p"},
    "SINGULAR": {"n"},
    "SINGULAR_PEOPLE": {"n"},
    "COUNT": {"p"},
    "BEST": {"adj", "one", "p"},
    "BEST_BY": {"best", "one", "p"},
    "COMPARE": {"a", "b", "ask"},
    "COMPARE_ADJECTIVE": {"a", "b", "more"},
    "EXCEPT": {"left", "right"},
}
ALWAYS = {"COMPARE", "COMPARE_ADJECTIVE", "EXCEPT"}  # all holes in every frame; elsewhere some


def listed():
    return {name for name, texts in vars(frames).items() if name.isupper() and isinstance(texts, tuple)}


def test_every_list_is_covered():
    assert listed() == HOLES.keys() | {"AND", "OR"}


@pytest.mark.parametrize("name", sorted(HOLES))
def test_frames_are_well_formed_and_hold_what_is_asked_about(name):
    for frame in getattr(frames, name):
        check(frame, {}, name, tuple(HOLES[name]))
        holes = re.findall(r"\{(\w+)\}", frame)
        assert len(holes) == len(set(holes)), frame
        assert set(holes) == HOLES[name] if name in ALWAYS else set(holes) & {"p", "n", "one"}, frame


@pytest.mark.parametrize("name", sorted(HOLES))
def test_no_alternative_of_a_frame_is_written_twice(name):
    for frame in getattr(frames, name):
        texts = {expand(frame, {}, random.Random(seed)) for seed in range(40 * count(frame, {}))}
        assert len(texts) == count(frame, {}), frame


@pytest.mark.parametrize("name", ["AND", "OR"])
def test_joining_words_are_set_apart_on_the_right(name):
    assert all(text.endswith(" ") and text[0] in " ," for text in getattr(frames, name))


@pytest.mark.parametrize("name", ["BEST", "BEST_BY"])
def test_some_frames_of_each_kind_do_without_a_singular(name):
    """Phrases that do not begin with their noun cannot be put into the singular."""
    assert any("{one}" not in frame for frame in getattr(frames, name))
