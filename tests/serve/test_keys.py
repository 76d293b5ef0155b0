import json
import multiprocessing
import stat
import time

import pytest

from raykg.serve.keys import SCOPES, Audit, KeyFile, KeysError


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "deep" / "keys.json")


def test_a_key_is_found_by_its_text_and_nothing_else(keys):
    key, text = keys.create("alice", ["read", "ask"])
    assert text.startswith(f"rk_{key.id}_") and len(text) == 3 + 12 + 1 + 43
    assert key.scopes == ("ask", "read")
    keys.refresh()
    assert keys.find(text) == key
    for wrong in (
        "",
        "rk_",
        text[:-1],
        text + "x",
        text.replace("rk_", "sk_"),
        f"rk_{key.id}_{'A' * 43}",
        f"rk_{'0' * 12}_{text[-43:]}",
        text.upper(),
    ):
        assert keys.find(wrong) is None


def test_the_file_holds_no_secret_and_is_its_owners_alone(keys):
    _, text = keys.create("alice", SCOPES)
    content = keys.path.read_text()
    assert text not in content and text.split("_", 2)[2] not in content  # a secret may have a _ too
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert not [file for file in keys.path.parent.iterdir() if file.name not in ("keys.json", "keys.json.lock")]


def test_equal_keys_have_other_hashes_and_texts(keys):
    (one, first), (other, second) = keys.create("a", ["ask"]), keys.create("a", ["ask"])
    assert first != second and one.hash != other.hash and one.salt != other.salt


def test_a_revoked_key_is_none_in_every_reader_that_looks_again(keys):
    key, text = keys.create("alice", ["ask"])
    reader = KeyFile(keys.path)
    assert reader.refresh() and reader.find(text) is not None and not reader.refresh()
    keys.revoke(key.id)
    assert reader.refresh() and reader.find(text) is None
    assert [found.state for found in keys.list()] == ["revoked"]


def test_a_rotated_key_works_until_its_grace_is_over(keys):
    old, before = keys.create("alice", ["ask", "review"], per_minute=7, concurrent=3)
    new, after = keys.rotate("alice", grace_hours=1)
    keys.refresh()
    assert (new.scopes, new.per_minute, new.concurrent, new.name) == (old.scopes, 7, 3, "alice") and new.id != old.id
    assert keys.find(before) is not None and keys.find(after) is not None
    third, _ = keys.rotate(new.id, grace_hours=0)
    keys.refresh()
    assert keys.find(after) is None and keys.find(before) is not None and third.name == "alice"


def test_a_key_ends_by_itself(keys):
    key, text = keys.create("alice", ["ask"], days=1 / 86400)
    keys.refresh()
    assert keys.find(text) is not None
    until = time.monotonic() + 30
    while keys.find(text) is not None:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert keys.list()[0].state == "expired"
    with pytest.raises(KeysError, match="no such key works"):
        keys.rotate(key.id)


@pytest.mark.parametrize(
    ("name", "scopes", "message"),
    [
        ("a", ["asks"], "must be some of"),
        ("a", [], r"\(none\)"),
        ("", ["ask"], "name"),
        (" a", ["ask"], "name"),
        ("a\nb", ["ask"], "name"),
        ("x" * 65, ["ask"], "name"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys, name, scopes, message):
    with pytest.raises(KeysError, match=message):
        keys.create(name, scopes)
    assert not keys.path.exists()


def test_a_name_that_several_keys_have_needs_an_id(keys):
    first, _ = keys.create("alice", ["ask"])
    keys.create("alice", ["ask"])
    with pytest.raises(KeysError, match=f"2 keys of this name work: give an id .*{first.id}"):
        keys.revoke("alice")
    keys.revoke(first.id)
    keys.revoke("alice")
    with pytest.raises(KeysError, match=r"no such key works \(keys: none\)"):
        keys.revoke("alice")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": "raykg.keys/1"}', '{"format": "raykg.keys/1", "keys": [{"id": 1}]}', '{"format": "other", "keys": []}'],
)
def test_a_damaged_file_is_said_and_lets_nobody_in(keys, content):
    _, text = keys.create("alice", ["ask"])
    keys.path.write_text(content)
    with pytest.raises(KeysError, match="keys.json"):
        KeyFile(keys.path).refresh()
    with pytest.raises(KeysError):
        keys.create("bob", ["ask"])
    assert KeyFile(keys.path).find(text) is None


def test_no_file_is_no_keys_and_a_removed_one_ends_them(keys):
    assert keys.list() == []
    _, text = keys.create("alice", ["ask"])
    keys.refresh()
    keys.path.unlink()
    assert keys.refresh() and keys.find(text) is None


def _create(path, number):
    KeyFile(path).create(f"k{number}", ["ask"])


def test_processes_that_make_keys_at_once_lose_none(keys):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_create, args=(keys.path, number)) for number in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(key.name for key in keys.list()) == sorted(f"k{number}" for number in range(12))


def test_an_audit_line_is_one_json_object(tmp_path):
    audit = Audit(tmp_path / "a" / "audit.jsonl")
    audit.write("request", path='/x"\n', status=200)
    audit.write("key revoked", key="1")
    first, second = map(json.loads, audit.path.read_text().splitlines())
    assert (first["what"], first["path"], second["key"]) == ("request", '/x"\n', "1")
    assert stat.S_IMODE(audit.path.stat().st_mode) == 0o600
