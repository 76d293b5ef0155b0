"""Claims: who owns a log. A newer claim fences the older owner off, so that two owners never both acknowledge.

A claim is (epoch, token), of two the higher one counts. The order of steps is what makes it safe:

    a new owner     1. writes its claim   2. reads the log   3. writes its *start*: the record that it goes on from   4. serves
    every edit      1. writes its record  2. looks for a higher claim   3. acknowledges only where there is none

If an owner finds no higher claim after writing, whoever claims later reads the log after that, and finds the record. If it finds one, it
does not acknowledge. What a fenced owner still writes lies beside or behind the newest start and is never read: of the records after the
newest start, only those of that claim count, and what leads up to it is known by hash.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from raykg.kg.live.errors import DamagedLog, Fenced
from raykg.kg.live.storage import Storage

FOLDER = "claims"
_NAME = re.compile(r"(?P<epoch>[0-9]{10})-(?P<token>[0-9a-f]{32})(?P<start>\.start)?\.json")


@dataclass(frozen=True, order=True, slots=True)
class Claim:
    """An owner's right to write; ordered."""

    epoch: int
    token: str

    @property
    def name(self) -> str:
        """Return what its files are called."""
        return f"{self.epoch:010d}-{self.token}"


@dataclass(frozen=True, slots=True)
class Start:
    """Where an owner went on from: the last record that it found, by number and hash; sequence 0 is an empty log."""

    claim: Claim
    sequence: int
    sha256: str


def take(storage: Storage, who: str) -> Claim:
    """Write a claim above all others and return it."""
    highest = max((claim.epoch for claim in _claims(storage)), default=0)
    claim = Claim(highest + 1, uuid.uuid4().hex)
    about = {"epoch": claim.epoch, "token": claim.token, "who": who, "when": datetime.now(UTC).isoformat(timespec="milliseconds")}
    storage.write(f"{FOLDER}/{claim.name}.json", json.dumps(about).encode())
    return claim


def write_start(storage: Storage, start: Start) -> None:
    """Write where an owner goes on from; then drop the claims below, which this one outranks."""
    content = {"sequence": start.sequence, "sha256": start.sha256}
    storage.write(f"{FOLDER}/{start.claim.name}.start.json", json.dumps(content).encode())
    for claim in _claims(storage):
        if claim < start.claim:
            storage.remove(f"{FOLDER}/{claim.name}.start.json")
            storage.remove(f"{FOLDER}/{claim.name}.json")


def newest_start(storage: Storage) -> Start | None:
    """Return the start of the highest claim that has one; None for a log that nobody has owned yet.

    Raises:
        DamagedLog: it cannot be read.
    """
    for _ in range(100):  # an owner that starts meanwhile drops the older ones
        found = [match for name in storage.names(FOLDER) if (match := _NAME.fullmatch(name)) and match["start"]]
        if not found:
            return None
        claim = max(Claim(int(match["epoch"]), match["token"]) for match in found)
        path = f"{FOLDER}/{claim.name}.start.json"
        try:
            content = json.loads(storage.read(path))
            return Start(claim, int(content["sequence"]), str(content["sha256"]))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedLog(f"{storage.name}/{path}: not readable ({error}); restore the log from a backup") from error
    raise DamagedLog(f"{storage.name}/{FOLDER}: owners replace each other faster than it can be read")


def check(storage: Storage, claim: Claim) -> None:
    """Make sure that nobody has claimed the log since.

    Raises:
        Fenced: somebody has.
    """
    found = _claims(storage)
    newest = max(found, default=claim)
    if newest > claim:
        raise Fenced(
            f"{storage.name}: a newer owner (epoch {newest.epoch}) has taken over from this one (epoch {claim.epoch}); "
            "send the edit there, with the same idempotency key"
        )
    if claim not in found:
        raise Fenced(f"{storage.name}: the claim of this owner (epoch {claim.epoch}) is gone; open the live graph again")


def _claims(storage: Storage) -> list[Claim]:
    found = (_NAME.fullmatch(name) for name in storage.names(FOLDER))
    return [Claim(int(match["epoch"]), match["token"]) for match in found if match and not match["start"]]
