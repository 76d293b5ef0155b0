from raykg.continual.strategies.joint import Config, Joint
from tests.continual.small_streams import course, entity_stream


def test_all_rows_so_far_with_everything_marked(tmp_path):
    strategy = Joint(Config(), course(entity_stream(), tmp_path))
    strategy.task = 1
    rows = strategy.rows()
    assert len(rows) == 28 and strategy.types_of(rows[:2]) == [("PER", "LOC")] * 2
    batch = strategy.course.batches.batch(rows[:1], strategy.course.labels.open(1), strategy.types_of(rows[:1]))
    assert batch["labels"].tolist() == [[1, 0, 0, 3]]  # the place too, which the first task did not look for


def test_a_share_of_the_earlier_rows_others_each_time(tmp_path):
    whole, half = (Joint(Config(again=again), course(entity_stream(), tmp_path)) for again in (1.0, 0.5))
    assert half.rows().tolist() == whole.rows().tolist(), "of the first task there is nothing to leave out"
    half.task = whole.task = 1
    own, earlier = half.course.stream.tasks[1].train, half.course.stream.tasks[0].train
    rows = half.rows()
    assert set(own) <= set(rows) and len(set(rows) & set(earlier)) == round(len(earlier) / 2) and len(set(rows)) == len(rows)
    assert half.rows().tolist() == rows.tolist() and set(rows) < set(whole.rows())
