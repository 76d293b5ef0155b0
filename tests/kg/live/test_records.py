import json

import pytest

from raykg.kg.live.errors import DamagedLog
from raykg.kg.live.records import body_hash, check, digest, from_bytes, seal, to_bytes

CONTENT = {"kind": "edit", "sequence": 1, "why": 'naïve "quotes"\n\ud7ff', "add": [["a", "r", "b", None]]}


def test_records_survive_writing():
    record = seal(CONTENT)
    assert from_bytes(to_bytes(record), "here") == record and record["sha256"] == digest(record)
    assert to_bytes(record).count(b"\n") == 1
    check(json.loads(to_bytes(record)), "here")


@pytest.mark.parametrize("change", [{"why": "else"}, {"sequence": 2}, {"extra": 1}, {"sha256": "0"}, {"sha256": None}])
def test_altered_records_are_refused(change):
    with pytest.raises(DamagedLog, match="here: altered, its sha256 is not its content's"):
        check(seal(CONTENT) | change, "here")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"3", b'{"format": 2}', b'{"format": 1, "kind": "odd"}', b"\xff\xfe"])
def test_what_is_no_record_is_refused(data):
    with pytest.raises(DamagedLog, match="here: is no log record"):
        from_bytes(data, "here")


def test_bodies_are_told_apart():
    assert body_hash(["a", {"b": 1, "c": 2}]) == body_hash(["a", {"c": 2, "b": 1}]) != body_hash(["a", {"b": 1}])
    with pytest.raises(ValueError):
        body_hash([float("nan")])
