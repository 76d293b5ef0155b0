import json

import pytest

from raykg.answer.question import STATUSES, Answer, AnswerError, Missing, Proposed, Question
from raykg.config.errors import RaykgError


def test_topics_and_ids_must_pair_up():
    with pytest.raises(AnswerError, match=r"topics \(2\) and topic_ids \(1\) must be as many"):
        Question("?", ("a", "b"), (1,))
    assert issubclass(AnswerError, RaykgError)
    assert Question("?", ("a",)).topic_ids is None


def test_an_answer_becomes_plain_json():
    plain = json.loads(json.dumps(Answer(strategy="s", status="answered", answers=("0",), count=0).to_dict()))
    assert plain["answers"] == ["0"]
    assert plain["count"] == 0
    assert plain["proof"] is None
    assert set(plain) == set(Answer.__dataclass_fields__)
    assert "answered" in STATUSES


def test_what_is_missing_and_proposed_becomes_plain_json_too():
    fact = Proposed("Alien", "directed by", "Ridley Scott", 1, 2, "passage", "Ridley Scott directed Alien.", "p1")
    answer = Answer(strategy="s", status="empty", missing=(Missing("Alien", "directed by", "?", head_id=1),), proposals=(fact,))
    plain = json.loads(json.dumps(answer.to_dict()))
    assert plain["missing"] == [{"head": "Alien", "relation": "directed by", "tail": "?", "head_id": 1, "tail_id": None}]
    assert plain["proposals"][0] | {"evidence": "", "source": ""} == {
        "head": "Alien", "relation": "directed by", "tail": "Ridley Scott", "head_id": 1, "tail_id": 2, "how": "passage",
        "evidence": "", "source": "", "verified": True,
    }  # fmt: skip
    assert not Proposed("a", "r", "b").verified
    assert answer.missing[0].to_dict() == {"head": "Alien", "relation": "directed by", "tail": "?"}
