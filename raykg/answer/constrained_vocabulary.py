"""What each token of a tokenizer writes, as bytes: the other half of a constraint on tokens.

    vocabulary = Vocabulary(tokenizer)
    vocabulary.pieces[tokenizer.encode(" Alien")[0]]  # b" Alien"
    vocabulary.spell(b" > directed by")               # the fewest tokens that write it

Abilities: fast tokenizers that decode byte by byte (GPT-2, Llama 3, Qwen, SmolLM) or as SentencePiece does (Llama 2, Gemma, Mistral: `▁`
for a space, `<0x0A>` for a byte). A token may hold part of a character.
Not supported: slow tokenizers; decoders that put spaces between tokens (WordPiece).
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from raykg.answer.question import AnswerError

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"  # SentencePiece's
_PROBE = "Amélie – «Ça va?» (1999) > directed by & ~Woody Allen [max year] 東京 🎬"
_REMEMBERED = 20_000  # spelt texts
_LONGEST = 32  # bytes of a token that is looked for when a text is spelt

_State = TypeVar("_State")


class Vocabulary:
    """The bytes of every token.

    Attributes:
        pieces: what each token writes; None for special tokens, which write nothing.
    """

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401  transformers' classes are untyped
        """Read a tokenizer.

        Raises:
            AnswerError: a tokenizer whose tokens cannot be told apart as bytes.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise AnswerError(f"tokenizer ({type(tokenizer).__name__}) is not a fast one: set constrained to false, or save the fast one")
        kinds = _decoders(backend.decoder)
        if "ByteLevel" in kinds:
            to_bytes = _byte_level
        elif "ByteFallback" in kinds:
            to_bytes = _piece_or_byte
        elif kinds & {"Metaspace", "Replace"}:
            to_bytes = _piece
        else:
            found = " and ".join(sorted(kinds)) or "none"
            raise AnswerError(f"tokenizer: its decoder ({found}) is not one that writes bytes or pieces: set constrained to false")
        self.pieces = _pieces(tokenizer, to_bytes)
        self._spelt: dict[bytes, tuple[int, ...] | None] = {}
        self._holding: dict[bytes, list[int]] = {}
        self._check(tokenizer)

    @cached_property
    def tokens(self) -> dict[bytes, int]:
        """The first token that writes each piece."""
        found: dict[bytes, int] = {}
        for token, piece in enumerate(self.pieces):
            if piece:
                found.setdefault(piece, token)
        return found

    @cached_property
    def sorted_pieces(self) -> list[tuple[bytes, list[int]]]:
        """Every piece with all the tokens that write it, in the order of the pieces."""
        found: dict[bytes, list[int]] = {}
        for token, piece in enumerate(self.pieces):
            if piece:
                found.setdefault(piece, []).append(token)
        return sorted(found.items())

    @cached_property
    def whole(self) -> bool:
        """Whether every byte that UTF-8 uses has a token of its own, so that any text can be gone on with from any byte."""
        return all(bytes([byte]) in self.tokens for byte in range(0xF5) if byte not in (0xC0, 0xC1))

    def spell(self, text: bytes) -> tuple[int, ...] | None:
        """Return the fewest tokens that write a text; None where no tokens do."""
        if text not in self._spelt:
            if len(self._spelt) >= _REMEMBERED:
                self._spelt.clear()
            self._spelt[text] = self._spell(text)
        return self._spelt[text]

    def _spell(self, text: bytes) -> tuple[int, ...] | None:
        best: list[tuple[int, ...] | None] = [None] * len(text) + [()]
        for start in range(len(text) - 1, -1, -1):
            for end in range(min(len(text), start + _LONGEST), start, -1):
                rest, token = best[end], self.tokens.get(text[start:end])
                if token is not None and rest is not None and (best[start] is None or len(rest) + 1 < len(best[start] or ())):
                    best[start] = (token, *rest)
        return best[0]

    def spells(self, text: str) -> bool:
        """Tell whether tokens can write every character of a text on its own, so that it can be gone on with from anywhere."""
        return all(self.spell(character.encode()) is not None for character in set(text))

    def follow(self, state: _State, step: Callable[[_State, int], _State | None]) -> list[int]:
        """Return the tokens whose bytes `step` takes one after another, beginning with `state`; where it gives None, none follows.

        Pieces are walked in their order, so that what two of them begin with is stepped through once and a dead beginning is skipped.
        """
        allowed: list[int] = []
        path, states = b"", [state]
        pieces = self.sorted_pieces
        number = 0
        while number < len(pieces):
            piece, tokens = pieces[number]
            shared = 0
            longest = min(len(path), len(piece), len(states) - 1)
            while shared < longest and path[shared] == piece[shared]:
                shared += 1
            del states[shared + 1 :]
            path = piece
            number += 1
            for place in range(shared, len(piece)):
                after = step(states[-1], piece[place])
                if after is None:
                    number = self._past(piece[: place + 1], number)
                    break
                states.append(after)
            else:
                allowed += tokens
        return allowed

    def _past(self, beginning: bytes, number: int) -> int:
        """Return the first place from `number` on where the sorted pieces do not begin with some bytes any more."""
        end = len(beginning)
        return bisect_right(self.sorted_pieces, beginning, number, key=lambda entry: entry[0][:end])

    def holding(self, text: bytes) -> list[int]:
        """Return the tokens in whose bytes a text stands."""
        if text not in self._holding:
            self._holding[text] = [token for token, piece in enumerate(self.pieces) if piece and text in piece]
        return self._holding[text]

    def _check(self, tokenizer: Any) -> None:  # noqa: ANN401
        """Refuse a tokenizer that writes other bytes than its pieces say."""
        ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
        written = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        pieces = b"".join(self.pieces[token] or b"" for token in ids).decode("utf-8", "replace")
        if pieces.strip() != written.strip():
            raise AnswerError(f"tokenizer: its tokens write {written!r} and not {pieces!r}, as their pieces say: set constrained to false")


def _pieces(tokenizer: Any, to_bytes: Callable[[str], bytes]) -> list[bytes | None]:  # noqa: ANN401
    words = tokenizer.get_vocab()
    pieces: list[bytes | None] = [None] * (max(words.values(), default=-1) + 1)
    added = tokenizer.added_tokens_decoder
    for word, token in words.items():
        if token not in added:
            pieces[token] = to_bytes(word)
        elif not added[token].special:
            pieces[token] = added[token].content.encode()
    for token in tokenizer.all_special_ids:
        pieces[token] = None
    return pieces


def _decoders(decoder: Any) -> set[str]:  # noqa: ANN401
    """Return the kinds of decoders that a tokenizer's decoder is made of."""
    if decoder is None:
        return set()
    about = json.loads(decoder.__getstate__())
    return {part["type"] for part in [about, *about.get("decoders", [])] if part["type"] != "Sequence"}


@lru_cache(maxsize=1)
def _letters() -> dict[str, int]:
    """Return the byte that each letter of a byte-level vocabulary stands for: bytes that are no printable letters come after them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _byte_level(word: str) -> bytes:
    letters = _letters()
    return bytes(letters[letter] for letter in word) if all(letter in letters for letter in word) else word.encode()


def _piece(word: str) -> bytes:
    return word.replace(_SPACE, " ").encode()


def _piece_or_byte(word: str) -> bytes:
    byte = _BYTE.fullmatch(word)
    return bytes([int(byte.group(1), 16)]) if byte else _piece(word)
