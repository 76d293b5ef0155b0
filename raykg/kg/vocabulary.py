"""Vocabularies: texts to ids, in the order of first appearance, stable across versions.

Encoding a chunk against a growing dictionary would hash the whole dictionary once per chunk. Here a chunk is encoded by itself, its few
distinct texts are staged, and staged texts join the dictionary only when they are as many as it holds: each text is hashed a constant
number of times. Where most of a chunk's texts are distinct, encoding it would spare little: the next chunks are staged as they are.
"""

from __future__ import annotations

from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.kg.errors import KgError

NUL = "\0"
"""Parts a literal's text from its datatype inside a vocabulary; no text of a source may hold it."""
_LEAST = 1 << 21  # staged texts that are always kept back: about 200 MB
_DISTINCT = 0.6  # of a chunk's texts, from which on the next chunks are not encoded
_UNENCODED = 7  # chunks, before one tells again how many are distinct


class Vocabulary:
    """Texts with dense ids; ids of known texts never change.

    Use:
        codes = vocabulary.stage(texts)             # ids inside this chunk
        for mapping in vocabulary.settle(vocabulary.staged()): ...     # per staged chunk: chunk id -> final id
    """

    def __init__(self, known: pa.Array | pa.ChunkedArray | None = None) -> None:
        chunks = known.chunks if isinstance(known, pa.ChunkedArray) else [known] if known is not None else []
        self.texts: pa.Array = pa.concat_arrays([pa.array([], pa.large_string()), *(chunk.cast(pa.large_string()) for chunk in chunks)])
        self._staged: list[pa.Array] = []
        self._pending = 0
        self._unencoded = 0  # so many further chunks are staged as they are

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def crowded(self) -> bool:
        """Whether so many texts are staged that they should be settled."""
        return self._pending >= max(_LEAST, len(self.texts))

    def stage(self, texts: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
        """Encode a chunk of texts by ids of its own, -1 for null; `[texts]`."""
        column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        if self._unencoded and not column.null_count and not pa.types.is_dictionary(column.type):
            self._unencoded -= 1
            return self._keep(column, np.arange(len(column), dtype=np.int32))
        if pa.types.is_dictionary(column.type) and pc.count_distinct(column.indices).as_py() < len(column.dictionary):
            column = column.dictionary_decode()  # of a slice, say: only what is there has an id
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
            self._unencoded = _UNENCODED if len(column.dictionary) > _DISTINCT * len(column) else 0
        return self._keep(column.dictionary, pc.fill_null(column.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False))

    def _keep(self, texts: pa.Array, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        self._staged.append(texts.cast(pa.large_string()))
        self._pending += len(texts)
        return codes

    def staged(self) -> list[pa.Array]:
        """Hand over what is staged, for `settle`; what is staged from now on is for the next one."""
        staged, self._staged, self._pending = self._staged, [], 0
        return staged

    def settle(self, staged: list[pa.Array]) -> list[NDArray[np.int32]]:
        """Give staged texts their final ids; return one mapping per staged chunk, whose last entry serves the code -1.

        Another thread may stage meanwhile; what is handed over first must be settled first.
        """
        if not staged:
            return []
        joined = pa.concat_arrays([self.texts, *staged]).dictionary_encode()
        codes = joined.indices.to_numpy(zero_copy_only=False)
        ends = len(self.texts) + np.cumsum([len(chunk) for chunk in staged])
        self.texts = joined.dictionary
        return [np.append(codes[end - len(chunk) : end], -1).astype(np.int32) for end, chunk in zip(ends, staged, strict=True)]


def literal_texts(keys: pa.Array, datatypes: pa.Array) -> pa.Array:
    """Return one text per node: the key, followed for literals by NUL and the datatype."""
    if datatypes.null_count == len(datatypes):
        return keys
    typed = pc.binary_join_element_wise(keys, pc.fill_null(datatypes, ""), pa.scalar(NUL, keys.type))
    return pc.if_else(pc.is_null(datatypes), keys, typed)


def split_literals(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return keys and datatypes of the texts that `literal_texts` made; the datatype of an entity is null."""
    mask = pc.greater_equal(pc.find_substring(texts, pattern=NUL), 0)
    parts = pc.split_pattern(texts.filter(mask), pattern=NUL, max_splits=1).flatten()
    even = pa.array(np.arange(0, len(parts), 2))
    keys = pc.replace_with_mask(texts, mask, parts.take(even))
    return keys, pc.replace_with_mask(pa.nulls(len(texts), texts.type), mask, parts.take(pc.add(even, 1)))


def refuse_nul(texts: pa.Array | pa.ChunkedArray, column: str) -> None:
    """Raise where a text holds a NUL, which no key, name or literal may.

    Raises:
        KgError: names the column and the first such text.
    """
    if not _may_hold_nul(texts):
        return
    bad = texts.filter(pc.fill_null(pc.match_substring(texts, NUL), False))
    if len(bad):
        raise KgError(f"{column}: {bad[0].as_py()!r} holds a NUL character, which no key or literal may; remove it from the source")


def _may_hold_nul(texts: pa.Array | pa.ChunkedArray) -> bool:
    """Tell whether the memory of plain texts holds a zero byte anywhere, which takes a fifth of the time that looking into each takes."""
    if isinstance(texts, pa.ChunkedArray):
        return any(_may_hold_nul(chunk) for chunk in texts.chunks)
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        return True
    data = texts.buffers()[2]
    return data is not None and data.size > 0 and not np.frombuffer(data, dtype=np.uint8).all()


def readable(keys: pa.Array, *, relations: bool = False) -> pa.Array:
    """Return default labels: of an IRI its last part in words, of any other key the key; relations also lose their underscores."""
    iri = pc.match_substring_regex(keys, r"^([A-Za-z][A-Za-z0-9+.-]*://|urn:)[^ ]+$")
    if relations and not pc.any(iri).as_py():
        return _words(keys)
    if not pc.any(iri).as_py():
        return keys
    last = pc.replace_substring_regex(keys.filter(iri), r"^.*[/#:]([^/#:]+)[/#]?$", r"\1")
    if pc.any(pc.match_substring(last, "%")).as_py():
        last = pa.array([unquote(text) for text in last.to_pylist()], last.type)
    if relations:
        last = pc.replace_substring_regex(last, r"([a-z])([A-Z])", r"\1 \2")
    labels = pc.replace_with_mask(keys, iri, _words(last))
    return pc.if_else(iri, labels, _words(keys)) if relations else labels


def _words(texts: pa.Array) -> pa.Array:
    spaced = pc.utf8_trim_whitespace(pc.replace_substring(texts, "_", " "))
    return pc.if_else(pc.equal(pc.utf8_length(spaced), 0), texts, spaced)
