import json

import pytest

from raykg.answer.question import STATUSES, Answer, AnswerError, Question
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
