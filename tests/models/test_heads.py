from itertools import product

import pytest
import torch

from raykg.models.couplings import Seen
from raykg.models.heads import SHUT, EntityHead, RelationHead

TAGS = ["O", "B-A", "I-A", "B-B", "I-B"]
OPEN = torch.ones(5, dtype=torch.bool)


def seen(text, image=None):
    return Seen(text, image, [], [], [], [])


def test_a_hidden_layer_keeps_the_parts_of_the_modalities_apart():
    torch.manual_seed(0)
    head = RelationHead(8, 3, 5, image=True, hidden=6, dropout=0.0)
    given = seen(torch.randn(4, 3, 8), torch.randn(4, 2, 8))
    present = torch.tensor([True, True, False, True])
    scores = head(given, present, OPEN)
    weighed = head.weighed(given, present)
    assert weighed.shape == (4, 12) and (weighed >= 0).all() and not weighed[2, 6:].any() and weighed[1, 6:].any()
    both = torch.cat([head.text.scores.weight, head.image.scores.weight], dim=-1)
    assert torch.allclose(scores.total, weighed @ both.T + head.bias, atol=1e-6)
    assert torch.allclose(scores.total[present], (scores.text + scores.image)[present], atol=1e-6)
    assert torch.allclose(scores.total[~present], scores.text[~present] + head.bias / 2, atol=1e-6)


def test_a_picture_may_be_read_alone():
    torch.manual_seed(0)
    head = RelationHead(8, 3, 5, text=False, image=True, hidden=6, dropout=0.0)
    given, present = seen(torch.randn(4, 3, 8), torch.randn(4, 2, 8)), torch.tensor([True, True, False, True])
    scores = head(given, present, OPEN)
    assert torch.equal(scores.total, head(given._replace(text=torch.randn(4, 3, 8)), present, OPEN).total)
    assert torch.equal(scores.total[2], head.bias) and not torch.equal(scores.total[0], scores.total[1])
    assert scores.image is None and head.weighed(given, present).shape == (4, 6)


def entity_head(**more):
    torch.manual_seed(1)
    head = EntityHead(8, 20, TAGS, image=False, dropout=0.0, **more)
    for parameter in head.field.parameters():
        torch.nn.init.normal_(parameter)
    return head


def energy(head, scores, tags):
    """Score of one sequence of one sentence, as the definition has it."""
    field = head.field
    total = field.start_transitions[tags[0]] + field.end_transitions[tags[-1]] + sum(scores[i, t] for i, t in enumerate(tags))
    return total + sum(field.transitions[one, other] for one, other in zip(tags, tags[1:], strict=False))


@pytest.mark.parametrize("length", [1, 2, 4])
def test_likelihood_is_that_of_every_sequence_counted(length):
    head, scores = entity_head(), torch.randn(1, 6, 5)
    words = torch.arange(6)[None] < length
    every = torch.stack([energy(head, scores[0], tags) for tags in product(range(5), repeat=length)])
    tags = torch.randint(0, 5, (1, 6))
    expected = every.logsumexp(0) - energy(head, scores[0], tags[0, :length].tolist())
    assert torch.allclose(head.loss(scores, tags, words), expected, atol=1e-4)


def test_likelihood_of_what_is_allowed_is_that_of_every_allowed_sequence_counted():
    head, scores = entity_head(), torch.randn(1, 3, 5)
    allowed = torch.tensor([[[True, False, False, True, False], [False, True, False, False, False], [True, False, True, False, True]]])
    choices = [row.nonzero()[:, 0].tolist() for row in allowed[0]]
    every = torch.stack([energy(head, scores[0], tags) for tags in product(range(5), repeat=3)])
    within = torch.stack([energy(head, scores[0], tags) for tags in product(*choices)])
    tags = torch.tensor([[0, 1, 0]])
    found = head.loss(scores, tags, torch.ones(1, 3, dtype=torch.bool), allowed)
    assert torch.allclose(found, every.logsumexp(0) - within.logsumexp(0), atol=1e-3)
    one = torch.nn.functional.one_hot(tags, 5).bool()
    plain = head.loss(scores, tags, torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(head.loss(scores, tags, torch.ones(1, 3, dtype=torch.bool), one), plain, atol=1e-3)


def test_the_best_sequence_is_the_best_of_all_that_make_sense():
    head = entity_head()
    kept = head.field.transitions.clone()
    for _ in range(20):
        scores = torch.randn(1, 4, 5)
        sensible = [tags for tags in product(range(5), repeat=4) if makes_sense(tags)]
        expected = max(sensible, key=lambda tags: energy(head, scores[0], tags).item())
        assert tuple(head.best(scores, torch.ones(1, 4, dtype=torch.bool))[0]) == expected
    assert torch.equal(head.field.transitions, kept)


def makes_sense(tags):
    names = ["O", *(TAGS[tag] for tag in tags)]
    return all(not now.startswith("I-") or before in (f"B-{now[2:]}", now) for before, now in zip(names, names[1:], strict=False))


def test_labels_that_have_not_arrived_are_never_told():
    head = RelationHead(8, 1, 5, image=False).eval()
    open_ = torch.tensor([True, True, False, False, True])
    scores = head(seen(torch.randn(50, 1, 8) * 10), None, open_)
    assert set(scores.total.argmax(-1).tolist()) <= {0, 1, 4} and (scores.total[:, 2:4] == SHUT).all()
    tags = entity_head().eval()
    told = tags.best(tags(seen(torch.randn(30, 6, 8) * 10), None, torch.tensor([1, 1, 1, 0, 0]).bool()).total, torch.ones(30, 6).bool())
    assert {tag for one in told for tag in one} <= {0, 1, 2}


def test_parts_add_up_and_a_missing_picture_is_no_zero_picture():
    torch.manual_seed(0)
    head = RelationHead(8, 2, 5, image=True, dropout=0.0)
    torch.nn.init.normal_(head.bias)
    text, image = torch.randn(3, 2, 8), torch.randn(3, 4, 8, requires_grad=True)
    present = torch.tensor([True, False, True])
    scores = head(seen(text, image), present, OPEN)
    assert torch.allclose(scores.total[present], (scores.text + scores.image)[present], atol=1e-6)
    assert torch.allclose(scores.total[1], head.text(text[1].flatten()) + head.bias, atol=1e-6)
    scores.total.sum().backward()
    assert image.grad[1].abs().max() == 0 and image.grad[0].abs().max() > 0


def test_a_words_picture_part_knows_its_place():
    head = EntityHead(8, 20, TAGS, image=True, dropout=0.0)
    torch.nn.init.normal_(head.places)
    scores = head(seen(torch.zeros(1, 3, 8), torch.randn(1, 4, 8)), torch.tensor([True]), OPEN)
    assert scores.image.shape == (1, 3, 5) and not torch.allclose(scores.total[0, 0], scores.total[0, 1])
