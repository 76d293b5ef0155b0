"""Scripted: the plans that a model would write, from a table, so that a service answers right without a trained model.

Source: the questions of tests/answer/runs.py.

"wait 0.5 ..." takes so many seconds first; "fail ..." raises, as a fault of the code would; "die ..." ends the replica's process.
"""

import os
import re
import time

from raykg.answer.strategies import plan_execute
from raykg.answer.strategies.plan_execute import PlanExecute
from raykg.config.schema import config
from tests.answer.runs import PLANS
from tests.answer.stubs import Writer

SEARCH: dict = {}
TABLE = {question: plan for question, _, _, plan, *_ in PLANS} | {
    "who directed The Terminator?": "The Terminator > directed by",
    "who directed Nothing?": "Nothing At All > directed by",
    "who starred in Alien?": "Alien > starred actors",
}


@config
class Config:
    """Nothing to set."""

    unused: int = 0


class Scripted(PlanExecute):
    name = "scripted"

    def __init__(self, config, graph, linker, generator):
        super().__init__(plan_execute.Config(), graph, linker, Writer(TABLE))
        self.settings = config.unused

    def answer(self, questions):
        for question in questions:
            if waits := re.match(r"wait ([\d.]+)", question.text):
                time.sleep(float(waits[1]))
            if question.text.startswith("fail"):
                raise RuntimeError("a fault of the code")
            if question.text.startswith("die"):
                os._exit(1)
        return super().answer(questions)
