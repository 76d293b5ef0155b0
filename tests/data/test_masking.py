import numpy as np
import pyarrow as pa
import pytest

from raykg.data.masking import held_out, mask, mask_names, mask_slots, wordings


@pytest.mark.parametrize(
    ("question", "topics", "masked", "wording"),
    [
        ("Who directed [Alien]?", ["Alien"], "who directed _", "directed _"),
        ("who is the director of Alien and Aliens", ["Alien", "Aliens"], "who is the director of _ and _", "director _ _"),
        ("ALIEN's director", ["Alien"], "_ s director", "_ director"),
        ("which films of [The [Film] of X] are long", ["The [Film] of X"], "which films of _ are long", "films _ long"),
        ("what is heat, in Heathers?", ["Heat"], "what is _ in heathers", "_ heathers"),
        ("Amélie  or  Heat:\twhich is longer?", ["Heat", "Amélie"], "_ or _ which is longer", "_ _ longer"),
        ("no topic at all", [], "no topic at all", "no topic"),
        ("(500) Days of Summer was made when", ["(500) Days of Summer"], "_ was made when", "_ made"),
    ],
)
def test_masking(question, topics, masked, wording):
    found = mask(pa.array([question]), pa.array([topics], pa.list_(pa.string())))
    assert found.to_pylist() == [masked]
    assert wordings(found).to_pylist() == [wording]


def test_a_pattern_and_the_question_made_of_it_have_one_wording():
    pattern, question = "who directed ?1's films after ?2?", "Who directed [A. B. C]'s films, after [1999]?"
    assert mask_slots([pattern]).to_pylist() == mask(pa.array([question]), pa.array([["A. B. C"]])).to_pylist()


def test_the_longest_name_is_masked_first():
    assert mask_names("is Alien Resurrection longer than Alien", ["Alien", "Alien Resurrection"]).split() == [
        "is",
        "_",
        "longer",
        "than",
        "_",
    ]


def test_a_share_of_wordings_is_held_out_by_their_text_alone():
    texts = pa.array([f"wording {number}" for number in range(4000)])
    out = held_out(texts, 0.25)
    assert 0.22 < out.mean() < 0.28
    order = np.random.default_rng(0).permutation(4000)
    assert (held_out(texts.take(pa.array(order)), 0.25) == out[order]).all()
    assert (held_out(texts, 0.5)[out]).all(), "a larger share holds out what a smaller one does"
    assert (held_out(texts, 0.25, seed=1) != out).any()
    assert not held_out(texts, 0.0).any()
    assert held_out(texts, 1.0).all()
    assert len(held_out(texts[:0], 0.25)) == 0
