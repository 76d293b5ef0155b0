import json
import tarfile

import pytest

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.backup import backup, restore
from raykg.kg.live.errors import DamagedLog, LiveError
from raykg.kg.live.graph import LiveGraph
from raykg.kg.live.log import read_log
from raykg.kg.live.storage import Storage
from tests.graphs import film_graph
from tests.kg.live.edits import facts_of


@pytest.fixture
def live(tmp_path):
    made = LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "films"), functional=["release year"])
    made.add("Alien", "has genre", "classic", who="ann", key="k")
    made.snapshot()
    made.retract("Alien", "has genre", "horror", who="bea")
    made.propose("Alien", "has genre", "odd", who="m", evidence=["a passage"])
    return made


def store_of(live):
    return live.view().base.root.parent.parent


@pytest.mark.parametrize("name", ["folder", "a.tar", "a.tar.gz"])
def test_a_restored_graph_is_the_graph_and_goes_on(tmp_path, live, name):
    made = backup(live.storage, store_of(live), tmp_path / name)
    assert made.version == live.view().version
    live.add("Alien", "has genre", "later", who="ann")
    store, storage = tmp_path / "there" / "films", Storage.open(tmp_path / "there" / "live")
    assert restore(tmp_path / name, store, storage) == made
    graph = KnowledgeGraph.open(store)
    again = LiveGraph.open(storage, graph)
    assert again.view().version == made.version and again.proposals() == live.proposals()
    assert again.add("Alien", "has genre", "classic", who="ann", key="k").sequence == 1, "idempotency keys are restored too"
    assert again.add("Alien", "has genre", "later", who="ann").sequence == live.sequence
    assert facts_of(again.view()) == facts_of(live.view())
    assert [record["who"] for record in read_log(storage)][:4] == ["ann", "raykg", "bea", "m"]
    with pytest.raises(LiveError, match="has a log already"):
        restore(tmp_path / name, store, storage)
    with pytest.raises(LiveError, match="is there already"):
        backup(live.storage, store_of(live), tmp_path / name)


def test_an_untouched_graph_is_backed_up_too(tmp_path):
    films = film_graph(tmp_path / "films")
    made = backup(Storage.open(tmp_path / "live"), tmp_path / "films", tmp_path / "b")
    assert restore(tmp_path / "b", tmp_path / "there", Storage.open(tmp_path / "live2")) == made and made.version == films.version
    assert LiveGraph.open(tmp_path / "live2", KnowledgeGraph.open(tmp_path / "there")).view().version == films.version


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: (folder / "version" / "heads.npy").unlink(), "version/heads.npy is missing"),
        (lambda folder: (folder / "version" / "heads.npy").write_bytes(b"x"), "version/heads.npy was altered"),
        (lambda folder: (folder / "log.jsonl").write_bytes((folder / "log.jsonl").read_bytes()[:-9]), "log.jsonl was altered"),
        (lambda folder: (folder / "backup.json").unlink(), "is no complete backup"),
        (lambda folder: (folder / "backup.json").write_text("[]"), "is no complete backup"),
        (lambda folder: rewritten(folder, format=9), "is a backup of format 9"),
        (lambda folder: rewritten(folder, files={}), "lacks files of version"),
        (lambda folder: rewritten(folder, sequence=1), "log.jsonl has 4 records, 1 were expected"),
        (lambda folder: rewritten(folder, more={"../../outside": {"bytes": 1, "sha256": ""}}), r"\.\./\.\./outside is missing"),
    ],
)
def test_a_damaged_backup_is_named_and_nothing_is_written(tmp_path, live, harm, message):
    backup(live.storage, store_of(live), tmp_path / "b")
    harm(tmp_path / "b")
    with pytest.raises((LiveError, DamagedLog), match=message):
        restore(tmp_path / "b", tmp_path / "there", Storage.open(tmp_path / "live2"))
    assert not (tmp_path / "live2").exists() and not (tmp_path / "there" / "latest").exists()


def rewritten(folder, more=None, **changes):
    about = json.loads((folder / "backup.json").read_text()) | changes
    about["files"] = about["files"] | (more or {})
    (folder / "backup.json").write_text(json.dumps(about))


def test_records_out_of_order_are_found(tmp_path, live):
    backup(live.storage, store_of(live), tmp_path / "b")
    log = tmp_path / "b" / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    about = json.loads((tmp_path / "b" / "backup.json").read_text())
    import hashlib

    about["files"]["log.jsonl"]["sha256"] = hashlib.sha256(log.read_bytes()).hexdigest()
    (tmp_path / "b" / "backup.json").write_text(json.dumps(about))
    with pytest.raises(DamagedLog, match="log.jsonl:1 does not follow on the record before"):
        restore(tmp_path / "b", tmp_path / "there", Storage.open(tmp_path / "live2"))


def test_what_is_no_backup_is_refused(tmp_path):
    storage = Storage.open(tmp_path / "live2")
    with pytest.raises(LiveError, match="no such backup"):
        restore(tmp_path / "nothing", tmp_path / "there", storage)
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with pytest.raises(LiveError, match="is no readable tar file"):
        restore(tmp_path / "x.tar", tmp_path / "there", storage)
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        (tmp_path / "f").write_text("x")
        archive.add(tmp_path / "f", "../evil")
    with pytest.raises(LiveError, match="is no readable tar file"):
        restore(tmp_path / "evil.tar", tmp_path / "there", storage)
    assert not (tmp_path.parent / "evil").exists()
