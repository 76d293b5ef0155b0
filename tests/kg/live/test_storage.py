import os
import time

import pytest
from pyarrow import fs as pafs

from raykg.kg.live.errors import LiveError
from raykg.kg.live.storage import Storage


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def places(folder):
    """Return a storage of every kind there is here: a local folder, a file URI, a file system that is not local."""
    return {
        "path": Storage.open(folder / "path"),
        "uri": Storage.open((folder / "uri").as_uri()),
        "other": Storage(pafs._MockFileSystem(), "bucket/live"),
    }


@pytest.mark.parametrize("kind", ["path", "uri", "other"])
def test_files_are_written_read_listed_and_removed(tmp_path, kind):
    storage = places(tmp_path)[kind]
    assert storage.names("log") == []
    storage.write("log/b.json", b"two")
    storage.write("log/a.json", b"one")
    storage.write("log/a.json", b"one again")
    assert storage.names("log") == ["a.json", "b.json"]
    assert storage.read("log/a.json") == b"one again"
    storage.remove("log/a.json")
    storage.remove("log/a.json")
    assert storage.names("log") == ["b.json"]
    with pytest.raises(OSError):
        storage.read("log/a.json")


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    storage = Storage.open(tmp_path)
    storage.write("log/a.json", b"old")

    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="no space left"):
        storage.write("log/a.json", b"new")
    monkeypatch.undo()
    assert storage.read("log/a.json") == b"old"
    assert listed(tmp_path / "log") == ["a.json"]


def test_what_killed_writers_left_is_not_listed_and_swept_later(tmp_path):
    storage = Storage.open(tmp_path)
    storage.write("log/a.json", b"old")
    for name, age in (("old", 7200), ("young", 1)):
        (tmp_path / "log" / f".unfinished-{name}").write_bytes(b"half")
        os.utime(tmp_path / "log" / f".unfinished-{name}", (time.time() - age,) * 2)
    assert storage.names("log") == ["a.json"]
    storage.sweep("log")
    assert listed(tmp_path / "log") == [".unfinished-young", "a.json"]


def test_a_uri_of_no_file_system_is_refused():
    with pytest.raises(LiveError, match=r"storage 'nonsense://x': cannot be opened .*s3://bucket/folder"):
        Storage.open("nonsense://x")
