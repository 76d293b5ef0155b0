"""Words of questions: which say nothing about an entity, and which have a stem in common."""

from rapidfuzz.distance import Prefix

_WORDS = """
a about after all also although am an and any are as at be because been before being between both but by can could did do does
doing done during each either every few for from further get give given gives had has have having he her here hers him his how i
if in into is it its itself just kind kinds know known let list many may me might more most much must my name named names neither
no nor not of off on one ones only or other our out over own please same say see shall she should show so some such tell than that
the their theirs them then there these they this those through to too type types under until up us was we were what whatever when
where which while who whoever whom whose why will with within without would you your
"""
STOP_WORDS = frozenset(_WORDS.split())
"""English words that make a question and say nothing about which entity it names."""


def likeness(word: str, other: str) -> float:
    """Return the shared beginning of two words as a share of the longer one, 0 where it is too short to be a common stem.

    `directed` and `director` are 0.75 alike, `written` and `writer` 0.57, `actors` and `acted` 0.5, `cat` and `car` 0.
    """
    if word == other:
        return 1.0
    shared = Prefix.similarity(word, other)
    shortest, longest = sorted((len(word), len(other)))
    long_stem = shared >= 4 and 2 * shared >= shortest  # "direct" of directed and director, but not "comp" of comparison and compliance
    short_stem = shared == 3 and shortest <= 5  # "act" of acted and actors, but not "con" of content and conduct
    return shared / longest if long_stem or short_stem else 0.0
