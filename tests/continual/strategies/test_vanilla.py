from raykg.continual.course import CourseRun
from raykg.train.ranks import Ranks
from tests.continual.test_course import arguments


def test_vanilla_may_fuse_pictures_in_its_own_way(tmp_path):
    model = {"text": "tiny:bert", "image": "tiny:clip", "top": 1, "positions": 64}
    runs = {}
    for fusion in ("hand_in_hand", "prefix", "cross"):
        runs[fusion] = CourseRun(arguments(tmp_path / fusion, {"name": "vanilla", "fusion": fusion}, model=model), Ranks()).model.streams
    assert len(runs["hand_in_hand"].banks) == 1 and runs["cross"].look is not None and len(runs["prefix"].before) == 1
    assert not runs["prefix"].banks and runs["prefix"].look is None
