import pyarrow as pa

from raykg.continual.calibration import Calibration
from raykg.continual.learnt_card import card
from tests.continual.learnt_models import learnt


def test_a_course_leaves_a_card_of_what_its_model_knows(tmp_path):
    text = (learnt(tmp_path) / "README.md").read_text()
    assert text.startswith("# replay, seed 3") and "relations between two marked mentions" in text and "tiny:bert" in text
    assert "| 1 | r1, r2 | 36 |" in text and "| 2 | r3, r4 | 36 |" in text and "micro F1" in text


def test_it_says_which_confidence_gives_which_precision_and_whether_it_holds():
    rows = [("validation", 0.9, True)] * 20 + [("validation", 0.5, False)] * 10 + [("test", 0.95, True)] * 8 + [("test", 0.6, False)] * 9
    split, confidence, right = zip(*rows, strict=True)
    calibration = Calibration(pa.table({"split": split, "kind": ["PER"] * len(rows), "confidence": confidence, "right": right}))
    about = {"kind": "entities", "model": {"image": "tiny:vit", "text": "tiny:bert", "modality": "both"}, "tasks": [["PER"]]}
    told = about | {"tested": {"micro F1": 0.5}, "seed": 0, "strategy": {"name": "lmc"}, "weights": "ab" * 32}
    text = card(told, calibration, [9])
    assert "| 0.50 | 0.500 | 17 | 0.471" in text and "| 0.90 | 0.900 | 8 | 1.000 (95 %: 0.676 to 1.000) |" in text
    assert "texts and pictures (both)" in text and "tiny:vit" in text
    none = Calibration(calibration.table.slice(0, 5))
    assert (
        text.count("not reached") == 0
        and card(about | {"tested": {}, "seed": 0, "strategy": {"name": "lmc"}, "weights": ""}, none, [9]).count("not reached") == 5
    )
