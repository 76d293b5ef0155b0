"""The journal keeps whole lines, and says what is wrong with broken ones."""

import pytest

from raykg.kg import mirror
from raykg.tune.errors import TuneError
from raykg.tune.journal import Journal
from tests.buckets import another_machine


def test_entries_come_back(tmp_path):
    journal = Journal(tmp_path / "new" / "journal.jsonl")
    journal.write({"kind": "trial", "settings": {"a": (1, 2)}})
    assert journal.entries == Journal(journal.path).entries == [{"kind": "trial", "settings": {"a": [1, 2]}}]


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_line_that_a_crash_cut_short_never_counted(tmp_path, cut):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write({"kind": "one"})
    journal.write({"kind": "two", "more": 2})
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-cut])
    opened = Journal(journal.path)
    assert opened.entries == [{"kind": "one"}]
    opened.write({"kind": "three"})
    assert [entry["kind"] for entry in Journal(journal.path).entries] == ["one", "three"]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"kind": "one"}\n{"kind": \n{"kind": "three"}\n')
    with pytest.raises(TuneError, match=r"journal.jsonl:2: is not JSON .*run.resume=never"):
        Journal(tmp_path / "journal.jsonl")


def test_a_journal_in_a_bucket_outlives_its_machine(bucket_uri):
    path = mirror.local(bucket_uri) / "sweep" / "journal.jsonl"
    entries = [{"kind": "trial", "trial": number} for number in range(5)]
    for entry in entries:
        Journal(path).write(entry)  # each by a driver that lives on another machine
        another_machine(bucket_uri)
    assert Journal(path).entries == entries
