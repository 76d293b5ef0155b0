import numpy as np
import pytest
import torch

from raykg.continual.strategies.vanilla import Config, Vanilla
from raykg.continual.supervised import allowed, right_probability, row_losses, told
from raykg.models.heads import SHUT, Scores
from tests.continual.small_streams import course, entity_stream, model_of, relation_stream


def made(folder, stream, task, types):
    strategy = Vanilla(Config(), course(stream, folder))
    rows = stream.tasks[task].train[:3]
    batch = strategy.course.batches.batch(rows, strategy.course.labels.open(task), [types] * len(rows))
    model = model_of(strategy)
    return model, batch, model(batch)[1]


def test_a_relations_loss_is_cross_entropy_over_what_has_arrived(tmp_path):
    model, batch, scores = made(tmp_path, relation_stream(), 0, ("r1", "r2"))
    expected = -scores.total[:, :3].log_softmax(-1).gather(1, batch["labels"][:, None])[:, 0]
    assert torch.allclose(row_losses(model.head, scores, batch), expected, atol=1e-5)


def test_words_that_were_not_looked_through_may_be_left_open(tmp_path):
    """In the second task places are marked; the person in front is not, and may be one."""
    model, batch, scores = made(tmp_path, entity_stream(), 1, ("LOC",))
    assert batch["labels"][0].tolist() == [0, 0, 0, 3]
    assert allowed(batch)[0].tolist() == [[True, True, True, False, False]] * 3 + [[False, False, False, True, False]]
    closed, open_ = (row_losses(model.head, scores, batch, how) for how in ("outside", "open"))
    assert (open_ < closed).all() and (open_ > 0).all()
    certain = scores.total.clone()
    certain[:, 0] = torch.tensor([SHUT, 50.0, SHUT, SHUT, SHUT])  # surely a person
    sure = scores._replace(total=certain)
    assert (row_losses(model.head, sure, batch, "outside") > 40).all() and (row_losses(model.head, sure, batch, "open") < 20).all()


def test_the_teacher_says_what_was_not_looked_for_and_nothing_else(tmp_path):
    model, batch, scores = made(tmp_path, entity_stream(), 1, ("LOC",))
    sure = torch.full_like(scores.total, -50.0)
    for word, tag in enumerate((1, 0, 3, 1)):  # a person; none; a place that was looked for and not found; a person where a place is marked
        sure[:, word, tag] = 50.0
    taught = Scores(sure, sure, None)
    assert told(model.head, taught, batch)[0].tolist() == [1, 0, 0, 3]
    expected = row_losses(model.head, scores, {**batch, "labels": told(model.head, taught, batch)})
    assert torch.allclose(row_losses(model.head, scores, batch, "teacher", taught), expected, atol=1e-5)
    assert torch.equal(row_losses(model.head, scores, batch, "teacher"), row_losses(model.head, scores, batch))


def test_what_has_arrived_after_the_teacher_is_left_open(tmp_path):
    """A remembered sentence of the first task, looked through for persons, in the second: its teacher has never heard of places."""
    model, _, _ = made(tmp_path, entity_stream(), 1, ("LOC",))
    strategy = Vanilla(Config(), course(entity_stream(), tmp_path / "again"))
    rows = strategy.course.stream.tasks[0].train[:3]
    batch = strategy.course.batches.batch(rows, strategy.course.labels.open(1), [("PER",)] * 3)
    scores = model(batch)[1]
    certain = scores.total.clone()
    certain[:, -1] = torch.tensor([SHUT, SHUT, SHUT, 50.0, SHUT])  # surely a place
    assert (batch["labels"][:, -1] == 0).all()
    ignorant = torch.where(batch["known"][:, None], scores.total, SHUT)
    taught = Scores(ignorant, ignorant, None)
    sure = scores._replace(total=certain)
    assert (row_losses(model.head, sure, batch, "teacher", taught) < 20).all()
    assert (row_losses(model.head, sure, batch, "outside") > 40).all()


def test_a_parts_probability_of_what_is_right(tmp_path):
    _, batch, scores = made(tmp_path, relation_stream(), 0, ("r1", "r2"))
    expected = scores.text[:, :3].softmax(-1).gather(1, batch["labels"][:, None])[:, 0]
    assert torch.allclose(right_probability(scores.text, batch), expected, atol=1e-6)
    words = torch.tensor([[True, True, False]])
    batch = {"labels": torch.tensor([[0, 1, 0]]), "open": torch.tensor([True, True]), "words": words}
    part = torch.tensor([[[0.0, 0.0], [0.0, np.log(3.0)], [9.0, 0.0]]])
    assert right_probability(part, batch).tolist() == pytest.approx([(0.5 + 0.75) / 2])
    assert right_probability(part[:, :1], batch).tolist() == pytest.approx([0.5])  # one part for all words
