import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from raykg.serve.idempotency import Done
from raykg.serve.refusal import Refused


def do(done, key, body, places, work=lambda place: {"answer": place}):
    """Do a request and return which places were really worked on, and all results."""
    worked = []

    async def run():
        async with done.doing(key, body) as record:
            for place in range(places):
                if place not in record.results:
                    worked.append(place)
                    record.keep(place, work(place))
            return dict(record.results)

    return worked, asyncio.run(run())


def test_the_same_request_is_done_once(tmp_path):
    done = Done(tmp_path)
    assert do(done, "k", [1], 2) == ([0, 1], {0: {"answer": 0}, 1: {"answer": 1}})
    assert do(done, "k", [1], 2) == ([], {0: {"answer": 0}, 1: {"answer": 1}})
    assert do(Done(tmp_path), "k", [1], 2)[0] == []  # after a restart
    assert do(done, "other", [1], 2)[0] == [0, 1]


def test_another_body_under_the_key_is_refused(tmp_path):
    done = Done(tmp_path)
    do(done, "k", {"a": 1, "b": 2}, 1)
    assert do(done, "k", {"b": 2, "a": 1}, 1)[0] == []
    with pytest.raises(Refused) as refused:
        do(done, "k", {"a": 1, "b": 3}, 1)
    assert (refused.value.status, refused.value.code) == (409, "idempotency_key_reused")


def test_what_broke_off_goes_on_where_it_stopped(tmp_path):
    def work(place):
        if place == 2:
            raise RuntimeError
        return {"answer": place}

    done = Done(tmp_path)
    with pytest.raises(RuntimeError):
        do(done, "k", "b", 4, work)
    assert do(done, "k", "b", 4) == ([2, 3], {place: {"answer": place} for place in range(4)})


@pytest.mark.parametrize("cut", [1, 5, 20, 25])
def test_half_a_line_is_passed_over(tmp_path, cut):
    done = Done(tmp_path)
    do(done, "k", "b", 3)
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    worked, results = do(done, "k", "b", 3)
    assert len(worked) == (cut > 1) and set(results) == {0, 1, 2}
    assert do(done, "k", "b", 3)[0] == []
    file.write_bytes(whole[:10])
    assert do(done, "k", "b", 3)[0] == [0, 1, 2]


def test_a_process_killed_in_the_middle_leaves_what_it_finished(tmp_path):
    code = f"""
import asyncio, time
from pathlib import Path
from raykg.serve.idempotency import Done
async def main():
    async with Done(Path({str(tmp_path)!r})).doing("k", "b") as record:
        record.keep(0, {{"answer": 0}})
        print("kept", flush=True)
        time.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "kept\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert do(Done(tmp_path), "k", "b", 2) == ([1], {0: {"answer": 0}, 1: {"answer": 1}})


def test_a_key_does_not_run_twice_at_a_time(tmp_path):
    async def main():
        running = most = 0
        worked = []

        async def one():
            nonlocal running, most
            async with Done(tmp_path, 10.0).doing("k", "b") as record:
                running += 1
                most = max(most, running)
                if 0 not in record.results:
                    worked.append(1)
                    await asyncio.sleep(0.05)
                    record.keep(0, {"a": 1})
                running -= 1

        await asyncio.gather(*(one() for _ in range(8)))
        return most, worked

    assert asyncio.run(main()) == (1, [1])


def test_patience_ends(tmp_path):
    async def main():
        async with Done(tmp_path).doing("k", "b"):
            with pytest.raises(Refused) as refused:
                async with Done(tmp_path, 0.2).doing("k", "b"):
                    pass
        return refused.value

    refused = asyncio.run(main())
    assert (refused.status, refused.code, refused.retry) == (409, "idempotency_key_in_use", 5.0)


def test_old_records_are_swept_away(tmp_path):
    do(Done(tmp_path), "old", "b", 1)
    (file,) = tmp_path.glob("*.jsonl")
    os.utime(file, (0, time.time() - 90_000))
    do(Done(tmp_path), "new", "b", 1)
    assert not file.exists() and len(list(tmp_path.glob("*.jsonl"))) == 1


def test_keys_with_strange_characters_are_file_names_all_the_same(tmp_path):
    for key in ("../../x", "a/b", "\x00", "k" * 10_000, ""):
        do(Done(tmp_path), key, "b", 1)
    assert len(list(tmp_path.glob("*.jsonl"))) == 5
    assert all("body" in json.loads(file.read_text().splitlines()[0]) for file in tmp_path.glob("*.jsonl"))


def files(folder):
    return sorted(file.suffix for file in folder.iterdir())


def aged(folder, seconds):
    """Make all records so old."""
    for file in folder.glob("*.jsonl"):
        os.utime(file, (time.time() - seconds, time.time() - seconds))


def test_a_key_under_which_nothing_was_answered_leaves_nothing(tmp_path):
    def fail(place):
        raise Refused(503, "busy")

    done = Done(tmp_path)
    with pytest.raises(Refused, match="busy"):
        do(done, "k", "b", 1, fail)
    assert files(tmp_path) == []
    assert do(done, "k", "another body", 1)[0] == [0] and files(tmp_path) == [".jsonl", ".lock"]


def test_where_there_is_no_room_the_oldest_records_go(tmp_path):
    done = Done(tmp_path, most_bytes=100_000)
    for number in range(10):
        do(done, f"k{number}", "b", 1)
        aged(tmp_path, 700)
    first = Done(tmp_path, most_bytes=100_000)
    do(first, "k0", "b", 1)  # used again: it is young now
    for number in range(10, 15):
        do(first, f"k{number}", "b", 1)
    assert len(list(tmp_path.glob("*.jsonl"))) == 15
    assert do(Done(tmp_path, most_bytes=100_000), "k99", "b", 1)[0] == [0]
    assert len(list(tmp_path.glob("*.jsonl"))) * 8192 < 100_000 and len(files(tmp_path)) == 2 * len(list(tmp_path.glob("*.jsonl")))
    again = Done(tmp_path, most_bytes=100_000)
    assert do(again, "k0", "b", 1)[0] == [] and do(again, "k14", "b", 1)[0] == [], "what is young stays"
    assert do(again, "k1", "b", 1)[0] == [0], "what was used longest ago went"


def test_a_new_key_is_refused_rather_than_a_young_one_given_up(tmp_path):
    done = Done(tmp_path, most_bytes=50_000)
    for number in range(7):
        do(done, f"k{number}", "b", 1)
    full = Done(tmp_path, most_bytes=50_000)
    with pytest.raises(Refused) as refused:
        do(full, "k7", "b", 1)
    assert (refused.value.status, refused.value.code, refused.value.retry) == (503, "idempotency_store_full", 60.0)
    for number in range(7):
        assert do(full, f"k{number}", "b", 2)[0] == [1], "known keys go on"
    assert len(files(tmp_path)) == 14, "a refusal leaves nothing"
    aged(tmp_path, 700)
    assert do(Done(tmp_path, most_bytes=50_000), "k7", "b", 1)[0] == [0]


def test_what_fills_up_between_two_looks_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("raykg.serve.idempotency._LOOK_AGAIN", 0.0)
    done = Done(tmp_path, most_bytes=100_000)
    with pytest.raises(Refused, match="no room"):
        for number in range(20):
            do(done, f"k{number}", "b", 1, lambda place: {"text": "x" * 5000})
    assert 6 <= number <= 9
    aged(tmp_path, 700)
    assert do(done, "k20", "b", 1)[0] == [0]


def test_a_record_that_is_in_use_never_goes(tmp_path):
    async def main():
        async with Done(tmp_path, most_bytes=1).doing("k", "b") as record:
            record.keep(0, {"a": 1})
            aged(tmp_path, 90_000)
            with pytest.raises(Refused, match="no room"):
                async with Done(tmp_path, most_bytes=1).doing("other", "b"):
                    pass
            record.keep(1, {"a": 2})

    asyncio.run(main())
    assert do(Done(tmp_path), "k", "b", 2)[0] == []
