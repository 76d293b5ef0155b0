"""What a chaos run comes to: what clients got, against what the service kept on disk.

    verdict = judge(tally, happened, records)
    faults(tally, happened, verdict, rows, 0.1)     # empty: nothing was lost, nothing answered twice

The record of a key is the file that `raykg.serve.idempotency` writes; its lines are read here by their form, not through that module.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .clients import Tally
from .disturbances import Happened
from .memory import Row
from .requests import digest

_CALLER = "anonymous"
_SHOWN = 5


@dataclass(slots=True)
class Verdict:
    """The numbers of the report and what is wrong."""

    records: int = 0
    twice: list[str] = field(default_factory=list)
    """Keys of which one place was recorded more than once."""
    unlike: list[str] = field(default_factory=list)
    """Keys whose record is not what the client got."""
    missing: list[str] = field(default_factory=list)
    """Keys that were answered and have no complete record."""
    dropped: list[str] = field(default_factory=list)
    """Streams that broke though nothing was killed while they ran."""
    met: int = 0
    """Kills that broke a stream."""
    changed: int = 0
    """Questions with more than one answer."""

    @property
    def doubled(self) -> list[str]:
        """Everything that shows that a request was answered twice."""
        return self.twice + self.unlike + self.missing


def judge(tally: Tally, happened: Iterable[Happened], records: Path) -> Verdict:
    """Compare what clients got with the service's records, and broken streams with what was done to the service."""
    verdict = Verdict(changed=sum(len(texts) > 1 for texts in tally.texts.values()))
    for (path, key), got in tally.kept.items():
        lines = read_record(records, path, key)
        verdict.records += bool(lines)
        places = Counter(line["place"] for line in lines[1:])
        if any(count > 1 for count in places.values()):
            verdict.twice.append(f"{path} {key}")
        results = {line["place"]: line["result"] for line in lines[1:]}
        if sorted(results) != list(range(len(results))) or not results:
            verdict.missing.append(f"{path} {key}")
        elif digest([results[place] for place in sorted(results)]) != got:
            verdict.unlike.append(f"{path} {key}")
    kills = [one for one in happened if one.what.startswith("kill")]
    verdict.met = sum(any(kill.touches(stream.began, stream.ended) for stream in tally.broken) for kill in kills)
    for stream in tally.broken:
        if not any(kill.touches(stream.began, stream.ended) for kill in kills):
            verdict.dropped.append(f"{stream.reason} after {stream.ended - stream.began:.1f} s")
    return verdict


def read_record(folder: Path, path: str, key: str) -> list[Mapping[str, Any]]:
    """Return the lines of a key's record: the body's hash, then each result."""
    file = folder / f"{hashlib.sha256(f'{_CALLER} {path} {key}'.encode()).hexdigest()}.jsonl"
    return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def faults(tally: Tally, happened: Iterable[Happened], verdict: Verdict, rows: Iterable[Row], most: float) -> list[str]:
    """Return what a run failed by, nothing where the service kept its promises; memory may grow by the share `most`."""
    found = [f"lost: {one}" for one in tally.lost]
    found += [f"answered twice: {one}" for one in tally.doubled]
    found += [f"recorded twice: {one}" for one in verdict.twice]
    found += [f"the record is not the answer: {one}" for one in verdict.unlike]
    found += [f"answered without a record: {one}" for one in verdict.missing]
    found += [f"wrong: {one}" for one in tally.wrong]
    found += [f"stream {stream.broken}: {stream.reason}" for stream in tally.broken if stream.broken != "error event"]
    found += [f"stream broken without a kill: {one}" for one in verdict.dropped]
    found += [f"not whole again: {one.what}" for one in happened if not one.whole]
    found += [f"memory of {row.role} grew by {row.share:.0%}" for row in rows if row.share is not None and row.share > most]
    return found


def untested(verdict: Verdict, happened: Iterable[Happened], rows: Iterable[Row]) -> list[str]:
    """Return which promises of a long run were not put to the test, so that it says nothing of them."""
    killed = any(one.what.startswith("kill") for one in happened)
    found = ["no kill broke a stream"] if killed and not verdict.met else []
    return found + [f"memory of {row.role}: no process lived long enough to tell" for row in rows if row.share is None]


def report(tally: Tally, happened: list[Happened], verdict: Verdict, rows: list[Row], seconds: float) -> str:
    """Return the tables."""
    lines = [f"requests answered      {tally.done.total():>8,}   in {seconds:.0f} s, {tally.done.total() / seconds:.1f} a second"]
    lines += [f"    {kind:<19}{count:>8,}" for kind, count in sorted(tally.done.items())]
    lines.append(f"retries                {tally.retries.total():>8,}")
    lines += [f"    {count:>8,}  {reason}" for reason, count in tally.retries.most_common()]
    lines.append(f"lost                   {len(tally.lost):>8,}")
    lines.append(f"answered twice         {len(tally.doubled) + len(verdict.doubled):>8,}   of {len(tally.kept):,} keys with a record each")
    lines += [f"    {count:>8,}  {what}" for what, count in tally.extra.items()]
    lines.append(f"questions with several answers{verdict.changed:>5,}")
    ended = Counter(stream.broken for stream in tally.broken)
    told = ", ".join(f"{count:,} by {how}" for how, count in ended.items()) or "none"
    kills = sum(one.what.startswith("kill") for one in happened)
    lines.append(f"streams broken         {len(tally.broken):>8,}   ({told}); without a kill: {len(verdict.dropped)}")
    lines.append(f"kills that broke one   {verdict.met:>8,}   of {kills}")
    lines += _seconds("until the answer", tally.seconds) + _seconds("until a refusal", tally.refusals)
    lines += ["", f"{'disturbance':<24}{'times':>6}{'whole again after: median s':>30}{'longest s':>12}"]
    by: dict[str, list[float]] = {}
    for one in happened:
        by.setdefault(one.what, []).append(one.ended - one.began)
    lines += [f"{what:<24}{len(took):>6}{statistics.median(took):>30.1f}{max(took):>12.1f}" for what, took in sorted(by.items())]
    lines += ["", f"{'memory, MB':<18}{'processes':>10}{'begin':>9}{'middle':>9}{'end':>9}{'longest s':>11}{'per 1,000 requests':>20}"]
    for row in rows:
        growth = "-" if row.growth is None else f"{row.growth:+.2f}"
        sizes = "".join(f"{size:>9.1f}" for size in (row.begin, row.middle, row.end))
        lines.append(f"{row.role:<18}{row.processes:>10}{sizes}{row.seconds:>11.0f}{growth:>20}   {row.judged}")
    return "\n".join(lines)


def _seconds(name: str, values: list[float]) -> list[str]:
    if len(values) < _SHOWN:
        return []
    hundredths = statistics.quantiles(values, n=100)
    return [f"seconds {name:<18} p50 {hundredths[49]:.2f}, p99 {hundredths[98]:.2f}, longest {max(values):.1f}"]
