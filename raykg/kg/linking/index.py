"""The table of a graph's names: built once per version, kept beside it, memory-mapped by every process.

Names (labels and aliases) are folded; the distinct folded texts, the *keys*, are sorted, so that a binary search over mapped bytes finds
one in about 20 steps without a dictionary in memory. Two more tables serve misspelt names: keys by character trigram, and an index of
bm25s (https://github.com/xhluca/bm25s), whose documents are the keys. It is asked by word ids from our own sorted words, because bm25s
would read its vocabulary into a dictionary in every process. Building takes about 3 s per 100,000 names.

    <version folder>/linking-2/keys.arrow, key_offsets.npy, entry_nodes.npy, ..., words.arrow, bm25/
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg import store
from raykg.kg.adjacency import expand_ranges
from raykg.kg.linking.folding import fold_array
from raykg.kg.wheel import default_cache

if TYPE_CHECKING:
    from bm25s import BM25

    from raykg.kg.graph import KnowledgeGraph

log = logging.getLogger(__name__)

FORMAT = 2
LABEL, ALIAS = 0, 1
LONGEST = 200  # characters; a longer text is a description, not a name
_GRAMS = 1 << 16  # buckets of trigrams; two trigrams in one bucket only add candidates
_K1, _B = 1.2, 0.75  # BM25's usual constants (Robertson and Zaragoza 2009)


class NameIndex:
    """The names of one version; see `open_index`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = SortedTexts(folder / "keys.arrow")
        self.words = SortedTexts(folder / "words.arrow")

    @cached_property
    def key_offsets(self) -> NDArray[np.int64]:
        """Where the entries of each key begin, `[keys + 1]`."""
        return self._array("key_offsets")

    @cached_property
    def entry_nodes(self) -> NDArray[np.int32]:
        """Node of each entry, `[entries]`."""
        return self._array("entry_nodes")

    @cached_property
    def entry_kinds(self) -> NDArray[np.int8]:
        """`LABEL` or `ALIAS`, `[entries]`."""
        return self._array("entry_kinds")

    @cached_property
    def names(self) -> pa.ChunkedArray:
        """Name of each entry as the graph writes it, `[entries]`."""
        return store.map_table(self.folder / "names.arrow")["text"]

    @cached_property
    def bm25(self) -> BM25:
        """The scores of words in keys, mapped; document i is key i and token j is word j, so bm25s' own vocabulary stays on disk."""
        from bm25s import BM25  # 0.3 s where nothing else has loaded scipy.sparse yet, so only once a name asks for it

        return BM25.load(self.folder / "bm25", mmap=True, load_vocab=False)

    def entries(self, key: int) -> range:
        """Return the entries of a key."""
        return range(int(self.key_offsets[key]), int(self.key_offsets[key + 1]))

    def keys_like(self, folded: str, limit: int, postings: int) -> NDArray[np.int64]:
        """Return the keys that share most trigrams with a text (Dice coefficient), at most `limit`, ties by key.

        At most `postings` entries of the trigram table are read, those of rare trigrams first.
        """
        codes = np.unique(_trigrams(np.frombuffer(f" {folded} ".encode(), dtype=np.uint8)))
        offsets = self._array("gram_offsets")
        low, high = offsets[codes], offsets[codes + 1]
        order = np.lexsort((codes, high - low))
        order = order[: max(int(np.searchsorted(np.cumsum((high - low)[order]), postings, side="right")), 1)]
        _, place = expand_ranges(low[order], high[order])
        shared = np.bincount(self._array("gram_keys")[place])
        met = np.flatnonzero(shared)
        if not len(met):
            return met
        dice = 2 * shared[met] / (self._array("gram_counts")[met] + len(codes))
        return met[np.lexsort((met, -dice))[:limit]]

    def keys_by_words(self, folded: str, limit: int, postings: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the keys with the highest BM25 scores for a text and their scores as a share of the best possible one, ties by key."""
        words = sorted(set(folded.split()))
        found = np.array([row for word in words if (row := self.words.find(word)) >= 0], dtype=np.int64)
        if not len(found):
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        offsets = self.bm25.scores["indptr"]
        holders = offsets[found + 1] - offsets[found]
        order = np.lexsort((found, holders))
        order = order[: max(int(np.searchsorted(np.cumsum(holders[order]), postings, side="right")), 1)]
        score = self.bm25.get_scores_from_ids(found[order])
        met = np.flatnonzero(score)
        met = met[np.lexsort((met, -score[met]))[:limit]]
        # no word scores more than its idf in a key, however often it stands there; an unknown word would be a rarest one
        best = _idf(holders, len(self.keys)).sum() + _idf(np.ones(1), len(self.keys))[0] * (len(words) - len(found))
        return met, score[met].astype(np.float64) / best

    def _array(self, name: str) -> NDArray[Any]:
        return store.map_array(self.folder / f"{name}.npy")


class SortedTexts:
    """Distinct texts in the order of their UTF-8 bytes, in a memory-mapped Arrow file."""

    def __init__(self, path: Path) -> None:
        column = store.map_table(path)["text"]
        self._array = column.chunk(0) if column.num_chunks else pa.array([], pa.large_string())
        buffers = self._array.buffers()
        self._offsets = memoryview(buffers[1]).cast("q") if len(self._array) else memoryview(b"")
        self._data = memoryview(buffers[2]) if len(self._array) and buffers[2] is not None else memoryview(b"")

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, row: int) -> str:
        return self._bytes(row).decode()

    def find(self, text: str) -> int:
        """Return the row of a text, -1 where it is not there."""
        wanted = text.encode()
        row = self.lower_bound(wanted, 0, len(self))
        return row if row < len(self) and self._bytes(row) == wanted else -1

    def is_at(self, row: int, text: bytes) -> bool:
        """Tell whether a row is there and is `text`."""
        return row < len(self) and self._bytes(row) == text

    def lower_bound(self, text: bytes, low: int, high: int) -> int:
        """Return the first row of `low : high` whose text is not below `text`."""
        while low < high:
            middle = (low + high) >> 1
            if self._bytes(middle) < text:
                low = middle + 1
            else:
                high = middle
        return low

    def _bytes(self, row: int) -> bytes:
        return self._data[self._offsets[row] : self._offsets[row + 1]].tobytes()


def open_index(graph: KnowledgeGraph, cache: Path | None = None) -> NameIndex:
    """Open the names of a version; build them first where nobody has yet.

    They lie in the version's folder, or where that is read-only in `cache` (default: `~/.cache/raykg`). Processes that build at the
    same time do the work twice; the first one to finish wins.
    """
    places = [graph.root] if cache is None else []
    places.append((cache or default_cache()) / "linking" / graph.version)
    for place in places:
        if (place / f"linking-{FORMAT}" / "about.json").is_file():
            return NameIndex(place / f"linking-{FORMAT}")
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(dir=place, prefix=".linking-"))
        except OSError:
            if place == places[-1]:
                raise
            continue
        break
    target = place / f"linking-{FORMAT}"
    try:
        _build(graph, scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not (target / "about.json").is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return NameIndex(target)


def _build(graph: KnowledgeGraph, folder: Path) -> None:
    """Write all tables of the index into an empty folder."""
    folder.chmod(0o755)
    texts, nodes, kinds = _collect_names(graph)
    folded = fold_array(texts).dictionary_encode()
    order = pc.sort_indices(folded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    keys = folded.dictionary.take(pa.array(order))
    key = rank[folded.indices.to_numpy()]
    entry = np.lexsort((nodes, kinds, key))
    store.write_table(folder / "keys.arrow", pa.table({"text": keys}), rows=max(len(keys), 1))
    store.write_table(folder / "names.arrow", pa.table({"text": texts.take(pa.array(entry))}))
    np.save(folder / "key_offsets.npy", np.searchsorted(key[entry], np.arange(len(keys) + 1)))
    np.save(folder / "entry_nodes.npy", nodes[entry].astype(np.int32))
    np.save(folder / "entry_kinds.npy", kinds[entry])
    _build_grams(keys, folder)
    _build_words(keys, folder)
    with (folder / "about.json").open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "version": graph.version, "names": len(texts), "keys": len(keys)}, file)
        file.flush()
        os.fsync(file.fileno())
    log.info("indexed %d names of graph %s", len(texts), graph.version)


def _collect_names(graph: KnowledgeGraph) -> tuple[pa.Array, NDArray[np.int64], NDArray[np.int8]]:
    """Return the names of all nodes, the node of each and its kind, each alias once and never beside an equal label."""
    labels = graph.entities["label"].cast(pa.large_string()).combine_chunks()
    aliases = graph.entities["aliases"].combine_chunks()
    parents = pc.list_parent_indices(aliases).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(aliases).cast(pa.large_string())
    texts = pa.concat_arrays([_one(labels), _one(flat)])
    nodes = np.concatenate([np.arange(len(labels)), parents]).astype(np.int64)
    kinds = np.repeat(np.array([LABEL, ALIAS], dtype=np.int8), [len(labels), len(flat)])
    good = pc.and_(pc.less_equal(pc.utf8_length(texts), LONGEST), pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
    kept = np.flatnonzero(pc.fill_null(good, False).to_numpy(zero_copy_only=False))
    texts, nodes, kinds = texts.take(pa.array(kept)), nodes[kept], kinds[kept]
    codes = texts.dictionary_encode().indices.to_numpy().astype(np.int64)
    _, first = np.unique(nodes * (int(codes.max(initial=0)) + 1) + codes, return_index=True)  # labels stand before aliases
    return texts.take(pa.array(first)), nodes[first], kinds[first]


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) and array.num_chunks else pa.array(array, pa.large_string())


def _build_grams(keys: pa.Array, folder: Path) -> None:
    """Write the keys of each trigram bucket, and how many buckets each key is in."""
    edge = pa.scalar("", pa.large_string())
    padded = pc.binary_join_element_wise(edge, keys, edge, pa.scalar(" ", pa.large_string()))
    offsets = np.frombuffer(padded.buffers()[1], dtype=np.int64)[: len(keys) + 1]
    data = np.frombuffer(padded.buffers()[2], dtype=np.uint8) if len(keys) else np.zeros(0, dtype=np.uint8)
    data = data[: offsets[-1] if len(keys) else 0]
    row, place = expand_ranges(offsets[:-1], np.maximum(offsets[1:] - 2, offsets[:-1])) if len(keys) else (np.zeros(0, np.int64),) * 2
    pairs = np.unique(_trigrams(data)[place].astype(np.int64) * max(len(keys), 1) + row)
    code, key = np.divmod(pairs, max(len(keys), 1))
    np.save(folder / "gram_offsets.npy", np.searchsorted(code, np.arange(_GRAMS + 1)))
    np.save(folder / "gram_keys.npy", key.astype(np.int32))
    np.save(folder / "gram_counts.npy", np.bincount(key, minlength=len(keys)).astype(np.int16))


def _trigrams(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the bucket of every three neighbouring bytes; `[bytes - 2]`."""
    wide = data.astype(np.uint32)
    code = (wide[:-2] << 16) | (wide[1:-1] << 8) | wide[2:]
    # Knuth's multiplicative hash, upper 16 bits
    return np.asarray((code * np.uint32(2654435761)) >> np.uint32(16), dtype=np.uint32)


def _build_words(keys: pa.Array, folder: Path) -> None:
    """Write the sorted words of the keys, and bm25s' index of which word scores how much in which key."""
    from bm25s import BM25

    split = pc.split_pattern(keys, " ")
    words = pc.list_flatten(split).dictionary_encode()
    order = pc.sort_indices(words.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    sorted_words = words.dictionary.take(pa.array(order))
    store.write_table(folder / "words.arrow", pa.table({"text": sorted_words}), rows=max(len(order), 1))
    if not len(order):  # bm25s cannot index nothing, and nobody will ask
        return
    documents = pa.ListArray.from_arrays(split.offsets, pa.array(rank[words.indices.to_numpy()])).to_pylist()
    logging.getLogger("bm25s").setLevel(logging.NOTSET)  # it asks for DEBUG, whatever the program's level is
    index = BM25(k1=_K1, b=_B, method="lucene")
    vocabulary = {word: row for row, word in enumerate(sorted_words.to_pylist())}
    index.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    index.save(folder / "bm25")


def _idf(holders: NDArray[np.int64] | NDArray[np.float64], documents: int) -> NDArray[np.float64]:
    """Return Lucene's form of BM25's inverse document frequency, which is never negative and which bm25s scores with."""
    return np.log1p((documents - holders + 0.5) / (holders + 0.5))
