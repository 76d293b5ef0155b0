import gc
import json
import os
import shutil
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from raykg.kg import store
from raykg.kg.build import from_triples
from raykg.kg.errors import DamagedVersion, KgError
from raykg.kg.graph import KnowledgeGraph
from tests.graphs import film_graph

FILES = ["entities.arrow", "relations.arrow", "heads.npy", "relation_ids.npy", "tails.npy", "forward_offsets.npy", "key_order.npy"]


@pytest.fixture
def graph(tmp_path):
    return film_graph(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_missing_truncated_and_altered_files_are_refused_by_name(graph, name):
    path = graph.root / name
    content = path.read_bytes()
    KnowledgeGraph.open(graph.root)  # the marker of a verified version does not hide what comes later
    path.write_bytes(content[:-1])
    with pytest.raises(DamagedVersion, match=rf"{name}: .* bytes, the manifest says .*; remove .* and import"):
        KnowledgeGraph.open(graph.root, verify=False)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedVersion, match=f"{name}: altered, its sha256"):
        KnowledgeGraph.open(graph.root)
    path.unlink()
    with pytest.raises(DamagedVersion, match=f"{name}: missing"):
        KnowledgeGraph.open(graph.root)
    path.write_bytes(content)
    assert KnowledgeGraph.open(graph.root).num_triples == graph.num_triples


def test_an_altered_file_with_its_old_times_is_refused(graph):
    KnowledgeGraph.open(graph.root)
    path = graph.root / "tails.npy"
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DamagedVersion, match="tails.npy: altered"):
        KnowledgeGraph.open(graph.root)


def test_hashes_are_computed_once(graph, monkeypatch):
    KnowledgeGraph.open(graph.root)
    monkeypatch.setattr(store, "sha256", lambda path: pytest.fail(f"hashed {path} again"))
    KnowledgeGraph.open(graph.root)


@pytest.mark.parametrize(
    "content, message", [("", "not a readable manifest"), ("{}", "not a readable manifest"), ("[]", "not a readable manifest")]
)
def test_a_broken_manifest_is_refused(graph, content, message):
    (graph.root / "manifest.json").write_text(content)
    with pytest.raises(DamagedVersion, match=message):
        KnowledgeGraph.open(graph.root)


def test_a_manifest_with_another_list_of_files_is_refused(graph):
    manifest = json.loads((graph.root / "manifest.json").read_text())
    del manifest["files"]["tails.npy"]
    (graph.root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedVersion, match="its list of files does not belong to version"):
        KnowledgeGraph.open(graph.root)
    (graph.root / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(DamagedVersion, match="format 99, this raykg reads format 1"):
        KnowledgeGraph.open(graph.root)


def test_a_version_without_manifest_is_not_a_version(graph, tmp_path):
    (graph.root / "manifest.json").unlink()
    with pytest.raises(DamagedVersion, match="the manifest is missing"):
        KnowledgeGraph.open(tmp_path)
    assert store.versions(tmp_path) == []


def test_nothing_and_no_store(tmp_path):
    with pytest.raises(KgError, match="no graph store here; import one with"):
        KnowledgeGraph.open(tmp_path / "nothing")
    with pytest.raises(KgError, match="not a graph store, it has no 'latest'"):
        KnowledgeGraph.open(tmp_path)


def test_same_content_same_version_and_a_damaged_copy_is_replaced(graph, tmp_path):
    assert film_graph(tmp_path).version == graph.version
    assert store.versions(tmp_path) == [graph.version]
    (graph.root / "tails.npy").write_bytes(b"broken")
    assert film_graph(tmp_path).num_triples == graph.num_triples
    KnowledgeGraph.open(tmp_path)
    moved = tmp_path.parent / "elsewhere"
    assert film_graph(moved).version == graph.version
    shutil.rmtree(moved)


def test_latest_points_to_the_newest_and_old_versions_stay(graph, tmp_path):
    other = from_triples(tmp_path, [("a", "r", "b")])
    assert KnowledgeGraph.open(tmp_path).version == other.version
    assert set(store.versions(tmp_path)) == {graph.version, other.version}
    store.point_to(tmp_path, graph.version)
    assert KnowledgeGraph.open(tmp_path).version == graph.version


def test_a_failed_import_leaves_nothing(tmp_path):
    with pytest.raises(KgError):
        from_triples(tmp_path, [("a", "r", "x")], literals={"r": "integer"})
    assert not list((tmp_path / "tmp").iterdir()) and not (tmp_path / "latest").exists()


def test_scratch_that_a_killed_import_left_is_removed_after_a_week(tmp_path):
    left, recent = store.scratch(tmp_path), store.scratch(tmp_path)
    os.utime(left, (0, 0))
    store.scratch(tmp_path)
    assert not left.exists() and recent.exists()


def test_what_is_written_may_be_read_by_whom_the_umask_allows(tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "file").touch()
    folder = store.scratch(tmp_path)
    store.write_atomically(folder / "latest", "x")
    assert (folder.stat().st_mode, (folder / "latest").stat().st_mode) == (plain.stat().st_mode, (plain / "file").stat().st_mode)


def test_a_failed_atomic_write_keeps_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "latest"
    store.write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.write_atomically(path, "new")
    assert path.read_text() == "old" and [child.name for child in tmp_path.iterdir()] == ["latest"]


def test_arrays_written_in_pieces_and_tables_in_batches_map_back(tmp_path):
    writer = store.ArrayWriter(tmp_path / "a.npy", "<i4")
    writer.append(np.arange(3))
    writer.append(np.arange(3, 10))
    writer.close()
    assert store.map_array(tmp_path / "a.npy").tolist() == list(range(10))
    table = pa.table({"x": list(range(10))})
    store.write_table(tmp_path / "t.arrow", table, rows=3)
    assert store.map_table(tmp_path / "t.arrow").equals(table)


def test_threads_map_arrays_at_a_time(tmp_path):
    """Garbage that is collected while a header is read lets another thread begin to read one, which Python 3.11 does not survive."""
    np.save(tmp_path / "a.npy", np.arange(10))
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(40):
                store.map_array(tmp_path / "a.npy")
        except SystemError as error:
            errors.append(error)

    def elsewhere(*_: object) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(elsewhere)
    gc.set_threshold(5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(elsewhere)
    assert not errors
