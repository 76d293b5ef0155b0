"""The log of a live graph: one file per record on any file system, acknowledged when durable, readable by anybody.

<storage>/log/000000000003-0000000001-<token>.json     sequence, epoch and token of the owner that wrote it
<storage>/claims/...                                   see `raykg.kg.live.claims`

log = EditLog.open(Storage.open("runs/live/movies"), who="ann's laptop")
record = log.append({"kind": "edit", ...})
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from raykg.kg.live import claims
from raykg.kg.live.claims import Claim, Start
from raykg.kg.live.errors import DamagedLog, Fenced
from raykg.kg.live.records import Record, from_bytes, seal, to_bytes
from raykg.kg.live.storage import Storage

FOLDER = "log"
_NAME = re.compile(r"(?P<sequence>[0-9]{12})-(?P<epoch>[0-9]{10})-(?P<token>[0-9a-f]{32})\.json")
_READERS = 16  # files that are read at once; an object store answers each after tens of milliseconds


class _Entry(NamedTuple):
    sequence: int
    claim: Claim
    name: str


class EditLog:
    """The owner's end of a log.

    Abilities: durable appends; fencing; reading back.
    Not supported: dropping old records; they are the history of who changed what.
    """

    def __init__(self, storage: Storage, claim: Claim, records: list[Record]) -> None:
        """Take what `open` read."""
        self.storage = storage
        self.claim = claim
        self.records = records
        """All records, in order; record n stands at place n - 1."""
        self._lost: Fenced | None = None

    @classmethod
    def open(cls, storage: Storage, who: str) -> EditLog:
        """Claim a log and read it; whoever owned it before is fenced off.

        Raises:
            DamagedLog: a record is missing or altered.
        """
        claim = claims.take(storage, who)
        storage.sweep(FOLDER)
        records = read_log(storage)
        claims.write_start(storage, Start(claim, len(records), records[-1]["sha256"] if records else ""))
        return cls(storage, claim, records)

    @property
    def sequence(self) -> int:
        """Number of the last record, 0 for an empty log."""
        return len(self.records)

    def check(self) -> None:
        """Make sure that nobody else owns the log, and that all writes went well.

        Raises:
            Fenced: as said.
        """
        if self._lost is not None:
            raise self._lost
        claims.check(self.storage, self.claim)

    def append(self, content: Mapping[str, Any]) -> Record:
        """Write the next record; when this returns it is durable and no other owner can be without it.

        Raises:
            Fenced: a newer owner has taken over; the record may be in its log or not.
            OSError: the storage refuses; the record is whole in the log or absent, and this owner has to be opened again to know.
        """
        if self._lost is not None:
            raise self._lost
        previous = self.records[-1]["sha256"] if self.records else ""
        numbers = {"sequence": self.sequence + 1, "epoch": self.claim.epoch, "token": self.claim.token, "previous": previous}
        record = seal({**content, **numbers})
        try:
            self.storage.write(f"{FOLDER}/{record_name(record)}", to_bytes(record))
            claims.check(self.storage, self.claim)
        except Fenced as error:
            self._lost = error
            raise
        except OSError as error:
            self._lost = Fenced(f"{self.storage.name}: an earlier write failed ({error}); open the live graph again to know what is there")
            raise
        self.records.append(record)
        return record


def record_name(record: Mapping[str, Any]) -> str:
    """Return the name of a record's file."""
    return f"{record['sequence']:012d}-{Claim(record['epoch'], record['token']).name}.json"


def read_log(storage: Storage, last: int | None = None) -> list[Record]:
    """Return the records of a log in order, without owning it.

    Args:
        storage: where it lies.
        last: stop after this sequence; all by default.

    Raises:
        DamagedLog: a record is missing or altered, or there is no record `last`.
    """
    start = claims.newest_start(storage)
    entries: dict[int, list[_Entry]] = {}
    for name in storage.names(FOLDER):
        if match := _NAME.fullmatch(name):
            entry = _Entry(int(match["sequence"]), Claim(int(match["epoch"]), match["token"]), name)
            entries.setdefault(entry.sequence, []).append(entry)
    if start is None:
        if entries:
            raise DamagedLog(f"{storage.name}/{claims.FOLDER}: holds no start of an owner, but the log has records; restore a backup")
        return []
    tip = start.sequence
    while any(entry.claim == start.claim for entry in entries.get(tip + 1, ())):
        tip += 1
    newer = [entry for entry in (one for several in entries.values() for one in several) if entry.claim == start.claim]
    if gap := [entry for entry in newer if entry.sequence > tip]:
        raise DamagedLog(f"{storage.name}/{FOLDER}: record {tip + 1} is missing, there is {gap[0].name}; restore the log from a backup")
    records = _chain(storage, entries, start, tip)
    if last is not None and last > len(records):
        raise DamagedLog(f"{storage.name}/{FOLDER}: has {len(records)} records, {last} were asked for")
    return records if last is None else records[:last]


def _chain(storage: Storage, entries: Mapping[int, list[_Entry]], start: Start, tip: int) -> list[Record]:
    """Read the records up to the tip, and choose back from it, by hash, where a sequence has several."""
    wanted = [entry for sequence in range(1, tip + 1) for entry in _of_sequence(storage, entries, sequence, start)]
    with ThreadPoolExecutor(_READERS) as readers:
        read = readers.map(lambda entry: _read(storage, entry), wanted)
        found: dict[int, list[Record | DamagedLog]] = {}
        for entry, record in zip(wanted, read, strict=True):
            found.setdefault(entry.sequence, []).append(record)
    chain: list[Record] = []
    expected = "" if tip > start.sequence else start.sha256  # of records behind the start there is one each
    for sequence in range(tip, 0, -1):
        if sequence == start.sequence:
            expected = expected or start.sha256
        fits = [one for one in found[sequence] if isinstance(one, dict) and expected in ("", one["sha256"])]
        if not fits:
            broken = [one for one in found[sequence] if isinstance(one, DamagedLog)]
            where = f"{storage.name}/{FOLDER}/{entries[sequence][0].name}"
            raise broken[0] if broken else DamagedLog(f"{where}: is not the record that the next one follows on; restore a backup")
        chain.append(fits[0])
        expected = fits[0]["previous"]
    if expected:
        raise DamagedLog(f"{storage.name}/{FOLDER}: record 1 follows on another one, which is missing; restore the log from a backup")
    chain.reverse()
    return chain


def _of_sequence(storage: Storage, entries: Mapping[int, list[_Entry]], sequence: int, start: Start) -> list[_Entry]:
    several = entries.get(sequence, [])
    if sequence > start.sequence:  # what fenced owners still wrote does not count
        several = [entry for entry in several if entry.claim == start.claim]
    if not several:
        raise DamagedLog(f"{storage.name}/{FOLDER}: record {sequence} is missing; restore the log from a backup with `raykg kg restore`")
    return several


def _read(storage: Storage, entry: _Entry) -> Record | DamagedLog:
    where = f"{storage.name}/{FOLDER}/{entry.name}"
    try:
        record = from_bytes(storage.read(f"{FOLDER}/{entry.name}"), where)
    except DamagedLog as error:
        return error
    except OSError as error:
        return DamagedLog(f"{where}: cannot be read ({error}); restore the log from a backup with `raykg kg restore`")
    if (record.get("sequence"), record.get("epoch"), record.get("token")) != (entry.sequence, entry.claim.epoch, entry.claim.token):
        return DamagedLog(f"{where}: holds another record than its name says; restore the log from a backup with `raykg kg restore`")
    return record
