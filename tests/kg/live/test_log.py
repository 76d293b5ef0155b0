import json
import os
import signal
import subprocess
import sys
import threading
import time
from random import Random

import pytest
from pyarrow import fs as pafs

from raykg.kg.live import claims
from raykg.kg.live.errors import DamagedLog, Fenced
from raykg.kg.live.graph import LiveGraph
from raykg.kg.live.log import EditLog, read_log, record_name
from raykg.kg.live.storage import Storage
from tests.graphs import film_graph


def opened(folder, who="ann"):
    return EditLog.open(Storage.open(folder), who)


def reject(number):
    return {"kind": "reject", "id": f"p{number}", "who": "ann", "when": "now"}


def ids(records):
    return [record["id"] for record in records]


def test_records_come_back_in_order_for_owners_and_readers(tmp_path):
    log = opened(tmp_path)
    assert log.sequence == 0 and read_log(log.storage) == []
    made = [log.append(reject(number)) for number in range(5)]
    assert [record["sequence"] for record in made] == [1, 2, 3, 4, 5]
    assert read_log(log.storage) == made == log.records
    assert read_log(log.storage, 3) == made[:3]
    again = opened(tmp_path)
    assert again.records == made
    again.append(reject(5))
    assert ids(opened(tmp_path).records) == [f"p{number}" for number in range(6)]
    with pytest.raises(DamagedLog, match="has 6 records, 7 were asked for"):
        read_log(log.storage, 7)


def test_an_older_owner_is_refused_and_nothing_acknowledged_is_lost(tmp_path):
    old = opened(tmp_path)
    old.append(reject(0))
    new = opened(tmp_path)
    with pytest.raises(Fenced, match=r"a newer owner \(epoch 2\) has taken over from this one \(epoch 1\)"):
        old.append(reject(1))
    with pytest.raises(Fenced):
        old.append(reject(2))
    with pytest.raises(Fenced):
        old.check()
    new.append(reject(3))
    assert ids(read_log(new.storage)) == ["p0", "p3"]
    assert ids(opened(tmp_path).records) == ["p0", "p3"]


def test_what_a_fenced_owner_wrote_before_the_next_one_looked_is_whole(tmp_path, monkeypatch):
    old = opened(tmp_path)
    old.append(reject(0))
    real = claims.check

    def taken_over_before_the_look(storage, claim):
        monkeypatch.setattr(claims, "check", real)
        opened(tmp_path)
        real(storage, claim)

    monkeypatch.setattr(claims, "check", taken_over_before_the_look)
    with pytest.raises(Fenced):
        old.append(reject(1))
    assert ids(read_log(old.storage)) == ["p0", "p1"], "the new owner read it, so it stays"


def test_records_of_fenced_owners_beside_or_behind_the_start_do_not_count(tmp_path):
    first = opened(tmp_path)
    first.append(reject(0))
    stale = EditLog(first.storage, first.claim, list(first.records))
    second = opened(tmp_path)
    mine = second.append(reject(1))
    late = first.storage
    for number in (2, 3):  # the first owner writes on, unfenced as far as it knows
        record = stale.records[-1]
        content = reject(9) | {"sequence": number, "epoch": 1, "token": first.claim.token, "previous": record["sha256"]}
        from raykg.kg.live.records import seal, to_bytes

        sealed = seal(content)
        late.write(f"log/{record_name(sealed)}", to_bytes(sealed))
        stale.records.append(sealed)
    assert ids(read_log(late)) == ["p0", "p1"]
    third = opened(tmp_path)
    assert third.records[-1] == mine
    third.append(reject(2))
    assert ids(opened(tmp_path).records) == ["p0", "p1", "p2"]


def test_a_late_record_of_an_owner_in_between_changes_nothing_that_was_read(tmp_path):
    """A (1) writes 2 and is fenced; C (3) reads it; B (2), which had claimed without seeing it, writes another 2: A's stays."""
    a = opened(tmp_path)
    a.append(reject(0))
    claim_b = claims.take(a.storage, "b")
    records_b = read_log(a.storage)
    claims.write_start(a.storage, claims.Start(claim_b, 1, records_b[-1]["sha256"]))
    b = EditLog(a.storage, claim_b, records_b)
    name = f"claims/{a.claim.name}.json"
    a.storage.write(name, b"{}")
    from raykg.kg.live.records import seal, to_bytes

    of_a = seal(reject(1) | {"sequence": 2, "epoch": 1, "token": a.claim.token, "previous": records_b[-1]["sha256"]})
    a.storage.write(f"log/{record_name(of_a)}", to_bytes(of_a))
    c = opened(tmp_path)
    before = list(c.records)
    with pytest.raises(Fenced):
        b.append(reject(7))
    assert opened(tmp_path).records == before
    assert read_log(a.storage) == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.unlink(), r"record 2 is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), r"000000000002-.*is no log record"),
        (lambda file: file.write_bytes(b""), r"000000000002-.*is no log record"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"ann", b"bea")), r"000000000002-.*altered, its sha256"),
        (lambda file: file.write_bytes(next(file.parent.glob("*03-*")).read_bytes()), r"000000000002-.*holds another record"),
        (lambda file: file.write_bytes(b"[1]"), r"000000000002-.*is no log record of format 1"),
    ],
)
def test_damage_is_found_and_named(tmp_path, harm, message):
    log = opened(tmp_path)
    for number in range(4):
        log.append(reject(number))
    harm(next((tmp_path / "log").glob("000000000002-*")))
    for read in (lambda: read_log(log.storage), lambda: opened(tmp_path)):
        with pytest.raises(DamagedLog, match=message):
            read()


def test_a_missing_start_and_a_missing_last_record_are_found(tmp_path):
    log = opened(tmp_path)
    log.append(reject(0))
    opened(tmp_path)
    next((tmp_path / "log").glob("*")).unlink()
    with pytest.raises(DamagedLog, match="record 1 is missing"):
        read_log(log.storage)
    other = opened(tmp_path / "other")
    other.append(reject(0))
    for file in (tmp_path / "other" / "claims").glob("*.start.json"):
        file.unlink()
    with pytest.raises(DamagedLog, match="holds no start of an owner"):
        read_log(other.storage)
    for file in (tmp_path / "other" / "claims").glob("*"):
        file.unlink()
    with pytest.raises(Fenced, match="the claim of this owner"):
        other.append(reject(1))


def test_a_storage_that_refuses_makes_the_owner_look_again(tmp_path, monkeypatch):
    log = opened(tmp_path)
    monkeypatch.setattr(Storage, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        log.append(reject(0))
    monkeypatch.undo()
    with pytest.raises(Fenced, match=r"an earlier write failed \(disk full\)"):
        log.append(reject(0))
    assert opened(tmp_path).records == []


def test_any_pyarrow_file_system_will_do(tmp_path):
    for name, filesystem in (("tree", pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())), ("mock", pafs._MockFileSystem())):
        storage = Storage(filesystem, f"{name}/live", name)
        log = EditLog.open(storage, "ann")
        for number in range(3):
            log.append(reject(number))
        assert ids(read_log(storage)) == ["p0", "p1", "p2"]
        assert ids(EditLog.open(storage, "bea").records) == ["p0", "p1", "p2"]
        with pytest.raises(Fenced):
            log.append(reject(3))


def test_a_random_race_of_owners_keeps_every_acknowledged_record(tmp_path):
    rng, acknowledged, owners = Random(0), [], [opened(tmp_path)]
    for number in range(120):
        if rng.random() < 0.2:
            owners.append(opened(tmp_path))
        owner = rng.choice(owners[-3:])
        try:
            acknowledged.append(owner.append(reject(number))["id"])
        except Fenced:
            assert owner is not owners[-1]
    found = ids(opened(tmp_path).records)
    assert found == acknowledged and len(found) > 40


def test_owners_in_threads_never_both_acknowledge_a_sequence(tmp_path):
    lock, acknowledged = threading.Lock(), []

    def own(seed):
        for round_ in range(6):
            log = opened(tmp_path, f"{seed}")
            try:
                for number in range(20):
                    record = log.append(reject(f"{seed}-{round_}-{number}"))
                    with lock:
                        acknowledged.append((record["sequence"], record["id"]))
            except Fenced:
                continue

    threads = [threading.Thread(target=own, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(record["sequence"], record["id"]) for record in read_log(Storage.open(tmp_path))}
    assert set(acknowledged) <= found and len(acknowledged) >= 20
    assert len({sequence for sequence, _ in acknowledged}) == len(acknowledged)


def start(store, storage, prefix):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kg.live.owner_process", str(store), str(storage), prefix], stdout=subprocess.PIPE, text=True
    )


def acknowledged_by(process):
    lines = process.stdout.read().split("\n")
    return [line.split()[1] for line in lines[:-1] if len(line.split()) == 2]  # a last line without its end was cut off


def test_an_owner_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path):
    store = film_graph(tmp_path / "films").root.parent.parent
    rng, acknowledged = Random(1), []
    for round_ in range(8):
        process = start(store, tmp_path / "live", f"r{round_}n")
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.25))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += acknowledged_by(process)
        process.wait()
        live = LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "films"))
        view = live.view()
        seen = view.labels(view.heads[[one for record in live.changes(0) for one in record["added"]]])
        assert set(acknowledged) <= set(seen), "an acknowledged edit is lost"
        assert len(seen) - len(set(acknowledged)) <= round_ + 1, "at most the last edit of each owner was not acknowledged"
        assert live.sequence == len(seen)
    assert len(acknowledged) > 20
    print(f"\n{len(acknowledged)} edits acknowledged by 8 owners, each killed")  # noqa: T201 - shown with -s


def test_two_owners_at_once_are_one_owner(tmp_path):
    store = film_graph(tmp_path / "films").root.parent.parent
    one = start(store, tmp_path / "live", "one")
    assert one.stdout.readline() == "ready\n"
    time.sleep(0.3)
    two = start(store, tmp_path / "live", "two")
    assert two.stdout.readline() == "ready\n"
    lines = one.stdout.read()
    assert lines.endswith("fenced\n") and one.wait(timeout=20) == 0
    time.sleep(0.2)
    os.kill(two.pid, signal.SIGKILL)
    kept = [line.split()[1] for line in lines.splitlines()[:-1]] + acknowledged_by(two)
    two.wait()
    live = LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "films"), owner=False)
    seen = [record["add"][0][0] for record in live.changes(0)]
    assert set(kept) <= set(seen) and len(kept) > 10
    assert json.dumps(seen) == json.dumps(list(dict.fromkeys(seen)))
