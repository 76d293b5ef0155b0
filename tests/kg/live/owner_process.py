"""An owner in a process of its own that adds facts until it is killed, and says each one once it is acknowledged.

python -m tests.kg.live.owner_process STORE STORAGE PREFIX
"""

from __future__ import annotations

import sys

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.errors import Fenced
from raykg.kg.live.graph import LiveGraph


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(store: str, storage: str, prefix: str) -> None:
    live = LiveGraph.open(storage, KnowledgeGraph.open(store), who=prefix)
    say("ready")
    number = 0
    while True:
        try:
            edit = live.add(f"{prefix}{number}", "seen_by", "me", who=prefix, allow_new=True, why="x" * (number % 50) * 40)
        except Fenced:
            say("fenced")
            return
        say(f"{edit.sequence} {prefix}{number}")
        number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
