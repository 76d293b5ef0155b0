"""A folder that stands for a bucket: what is kept is fetched elsewhere as it was, and half of anything counts as nothing."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.kg import mirror, transfer
from raykg.kg.errors import KgError
from tests.buckets import another_machine


@pytest.fixture
def folder(bucket_uri, request):
    """A folder of this test in the bucket, and the URI of the bucket."""
    return mirror.local(bucket_uri) / request.node.name.split("[")[0]


def files(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def write(path: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


@given(
    st.from_regex(r"(s3|gs)://[a-z0-9._-]{1,20}(\?endpoint_override=[a-z:0-9.]{1,9})?", fullmatch=True),
    st.from_regex(r"[\w äß-]{1,9}", fullmatch=True),
)
def test_a_mirrors_path_says_which_bucket_it_stands_for(bucket, name):
    encoded = transfer.encoded(bucket)
    assert transfer.decoded(encoded) == bucket and "/" not in encoded and "%" not in encoded
    address, mark, query = bucket.partition("?")
    assert mirror.shown(Path("/tmp", "raykg-mirrors-1000", encoded, name, "model")) == f"{address}/{name}/model{mark}{query}"


def test_one_bucket_has_one_mirror(bucket_uri):
    address, mark, query = bucket_uri.partition("?")
    assert mirror.local(f"{address}/first/model{mark}{query}") == mirror.local(bucket_uri) / "first" / "model"
    assert mirror.shown(mirror.local(bucket_uri) / "first") == f"{address}/first{mark}{query}"
    assert mirror.local("file:///runs/first") == Path("/runs/first")


def test_an_ordinary_folder_is_itself(tmp_path):
    write(tmp_path / "a", {"b": b"1"})
    assert mirror.local(tmp_path / "a") == tmp_path / "a" and mirror.shown(tmp_path / "a") == str(tmp_path / "a")
    assert mirror.local("runs") == Path("runs").absolute() and not mirror.stands_for_a_bucket(tmp_path)
    mirror.keep(tmp_path / "a")
    mirror.fetch(tmp_path / "a")
    mirror.drop(tmp_path / "a")
    assert mirror.exists(tmp_path / "a") and not mirror.exists(tmp_path / "c") and mirror.children(tmp_path) == []
    mirror.rename(tmp_path / "a", tmp_path / "c")
    assert files(tmp_path) == {"c/b": b"1"}


def test_what_is_kept_is_fetched_on_another_machine(folder, bucket_uri):
    content = {"x": b"1", "deep/er/y": os.urandom(1 << 20), "stages/graph.json": b"{}", "empty": b"", "a name": "ä".encode()}
    write(folder, content)
    write(folder, {"checkpoints/step-1.partial/z": b"half", "logs/z": b"log"})
    mirror.keep(folder, without=["logs"])
    another_machine(bucket_uri)
    assert not folder.exists() and mirror.exists(folder)
    mirror.fetch(folder / "deep", only="*/y")
    assert files(folder) == {"deep/er/y": content["deep/er/y"]}
    mirror.fetch(folder, without=["stages"])
    assert files(folder) == {name: data for name, data in content.items() if not name.startswith("stages")}
    mirror.fetch(folder)
    assert files(folder) == content
    assert mirror.children(folder) == ["a name", "deep", "empty", "stages", "x"]


def test_only_what_has_changed_is_brought(folder, bucket_uri, monkeypatch):
    write(folder, {"x": b"1", "y": b"2"})
    mirror.keep(folder)
    brought = []
    copy = transfer._copy
    monkeypatch.setattr(
        transfer, "_copy", lambda source, path, other, target: (brought.append(Path(path).name), copy(source, path, other, target))
    )
    mirror.keep(folder)
    mirror.fetch(folder)
    assert brought == []
    write(folder, {"x": b"3"})  # as long as before
    mirror.fetch(folder)
    assert brought == [] and files(folder)["x"] == b"3", "what has changed here is not overwritten"
    mirror.keep(folder)
    assert brought == ["x"]
    another_machine(bucket_uri)
    mirror.fetch(folder)
    assert files(folder) == {"x": b"3", "y": b"2"}
    os.utime(folder / "y")
    mirror.keep(folder)
    assert brought[-1] == "y" and mirror.listing(folder) == {"x", "y"}


def test_no_clock_decides(folder, bucket_uri):
    """What changed where is told from what both sides were like when they met, though this machine's clock is years off."""
    write(folder, {"x": b"here", "y": b"here"})
    for name in ("x", "y"):
        os.utime(folder / name, ns=(1, 1))
    mirror.keep(folder)
    filesystem, remote = mirror.there(folder)
    time.sleep(1.1)  # an S3's times are whole seconds
    with filesystem.open_output_stream(f"{remote}/x") as stream:
        stream.write(b"gone")
    mirror.fetch(folder)
    assert files(folder) == {"x": b"gone", "y": b"here"}
    write(folder, {"y": b"anew"})
    os.utime(folder / "y", ns=(2, 2))
    mirror.fetch(folder)
    mirror.keep(folder)
    another_machine(bucket_uri)
    mirror.fetch(folder)
    assert files(folder) == {"x": b"gone", "y": b"anew"}


def test_a_file_that_grows_is_followed_and_the_one_who_writes_it_is_not_disturbed(folder, bucket_uri):
    write(folder, {"x": b"1\n"})
    mirror.keep(folder / "x")
    with (folder / "x").open("ab") as stream:
        stream.write(b"2\n")
        stream.flush()
        mirror.follow(folder / "x")
        stream.write(b"3\n")
    assert (folder / "x").read_bytes() == b"1\n2\n3\n"
    mirror.keep(folder / "x")
    another_machine(bucket_uri)
    mirror.follow(folder / "x")
    mirror.follow(folder / "none")
    assert files(folder) == {"x": b"1\n2\n3\n"}


def test_a_file_that_is_replaced_on_its_way_is_fetched_again(folder, bucket_uri, monkeypatch):
    write(folder, {"x": b"1"})
    mirror.keep(folder)
    another_machine(bucket_uri)
    filesystem, remote = mirror.there(folder)
    copy, replaced = transfer._copy, []

    def late(source, path, other, target):
        if not replaced:
            replaced.append(path)
            with filesystem.open_output_stream(f"{remote}/x") as stream:
                stream.write(b"1 and more")
        copy(source, path, other, target)

    monkeypatch.setattr(transfer, "_copy", late)
    mirror.fetch(folder)
    assert files(folder) == {"x": b"1 and more"}


def test_words_have_the_uri(bucket_uri):
    path = mirror.local(bucket_uri) / "first" / "manifest.json"
    address = bucket_uri.partition("?")[0]
    assert mirror.worded(f"{path}: is missing (in '{path.parent}')") == f"{address}/first/manifest.json: is missing (in '{address}/first')"
    assert mirror.worded("/runs/first: is missing") == "/runs/first: is missing"
    with mirror.best_effort():
        raise OSError("no answer")


@pytest.mark.parametrize("there", [True, False])
def test_what_says_that_others_are_whole_goes_last(folder, bucket_uri, monkeypatch, there):
    write(folder, {f"part-{number:02d}": b"1" for number in range(20)} | {"manifest.json": b"{}", "stages/a.json": b"{}"})
    if there:
        mirror.keep(folder)
        another_machine(bucket_uri)
    copy, done, lock = transfer._copy, [], threading.Lock()

    def breaks(source, path, other, target):
        with lock:
            done.append(path)
            if len(done) > 12:
                raise OSError("the network is gone")
        copy(source, path, other, target)

    monkeypatch.setattr(transfer, "_copy", breaks)
    with pytest.raises(OSError, match="the network is gone"):
        (mirror.fetch if there else mirror.keep)(folder)
    monkeypatch.undo()
    found = set(files(folder)) if there else set(mirror.children(folder))
    assert not {"manifest.json", "stages", "stages/a.json"} & found and not any("fetching" in name for name in found)
    (mirror.fetch if there else mirror.keep)(folder)
    assert "manifest.json" in (files(folder) if there else mirror.children(folder))
    mirror.drop(folder)


def test_many_fetch_the_same(folder, bucket_uri):
    write(folder, {f"part-{number}": os.urandom(5000) for number in range(30)})
    before = files(folder)
    mirror.keep(folder)
    another_machine(bucket_uri)
    threads = [threading.Thread(target=mirror.fetch, args=(folder,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(folder) == before


def test_dropping_and_renaming(folder, bucket_uri):
    write(folder, {"x": b"1", "checkpoints/a/manifest.json": b"{}"})
    mirror.keep(folder)
    another_machine(bucket_uri)  # what is not here is renamed there
    mirror.rename(folder, folder.with_name("aside"))
    assert not mirror.exists(folder)
    mirror.fetch(folder.with_name("aside"))
    assert files(folder.with_name("aside")) == {"x": b"1", "checkpoints/a/manifest.json": b"{}"}
    mirror.drop(folder.with_name("aside") / "x")
    mirror.drop(folder.with_name("aside") / "never was")
    assert mirror.children(folder.with_name("aside")) == ["checkpoints"]
    mirror.drop(folder.with_name("aside"))
    assert not mirror.children(folder.with_name("aside")) and files(folder.with_name("aside"))["x"] == b"1", "what is here stays"


def test_a_bucket_that_cannot_be_opened_is_said(bucket_uri):
    with pytest.raises(KgError, match=r"storage 'nosuch://bucket/runs': cannot be opened \(.*\); expected a folder, or a URI"):
        mirror.local("nosuch://bucket/runs")
    with pytest.raises(KgError, match=r"there is no bucket 'raykg-other'"):
        mirror.local("s3://raykg-other/runs?" + bucket_uri.partition("?")[2])
    assert mirror.absolute(bucket_uri) == bucket_uri and mirror.absolute("runs") == str(Path("runs").absolute())
