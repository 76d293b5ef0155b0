"""Watched: cogmg as it is, and for each answer a line in a file that says which process gave it: a record does not tell replicas apart.

Source: raykg.answer.strategies.cogmg.
"""

import json
import os
from pathlib import Path

from raykg.answer.strategies import cogmg
from raykg.answer.strategies.cogmg import Cogmg
from raykg.config.schema import Text, config

SEARCH: dict = {}


@config
class Config:
    """The settings of cogmg that a service gives, and where the lines go."""

    passages: Text | None = None
    seen: Text = "seen.jsonl"


class Watched(Cogmg):
    def __init__(self, config, graph, linker, generator):
        super().__init__(cogmg.Config(passages=config.passages), graph, linker, generator)
        self.seen = Path(config.seen)

    def answer(self, questions):
        answers = super().answer(questions)
        with self.seen.open("a") as file:
            for answer in answers:
                file.write(json.dumps({"process": os.getpid(), "version": answer.version, "status": answer.status}) + "\n")
        return answers
