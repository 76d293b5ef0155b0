from raykg.continual.strategies.joint import Config, Joint
from tests.continual.small_streams import course, entity_stream


def test_all_rows_so_far_with_everything_marked(tmp_path):
    strategy = Joint(Config(), course(entity_stream(), tmp_path))
    strategy.task = 1
    rows = strategy.rows()
    assert len(rows) == 28 and strategy.types_of(rows[:2]) == [("PER", "LOC")] * 2
    batch = strategy.course.batches.batch(rows[:1], strategy.course.labels.open(1), strategy.types_of(rows[:1]))
    assert batch["labels"].tolist() == [[1, 0, 0, 3]]  # the place too, which the first task did not look for
