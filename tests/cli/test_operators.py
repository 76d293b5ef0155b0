import shutil

from raykg.cli.operators import ask_deepspeed, operator_findings

ANSWER = """
print('noise')
print('ANSWER{"version": "1", "device": "cpu", "operators": {"CPUAdamBuilder": true, "AsyncIOBuilder": false}}')
"""


def test_deepspeed_is_asked_in_a_process_of_its_own():
    finding = ask_deepspeed(ANSWER)
    assert (finding.state, finding.found, finding.advice) == (
        "ok",
        "1 on cpu: optimiser on the CPU (offload)",
        "cannot be compiled here: offload to NVMe",
    )


def test_a_deepspeed_that_does_not_start_is_a_warning():
    finding = ask_deepspeed("raise ImportError('no libcudart')")
    assert finding.state == "warning" and finding.found == "does not start: ImportError: no libcudart" and "engine=torch" in finding.advice
    assert ask_deepspeed("import os; os._exit(7)").found == "does not start: ended with 7"


def test_a_deepspeed_that_hangs_is_a_warning():
    assert ask_deepspeed("import time; time.sleep(60)", seconds=0.3).found == "no answer within 0 s"


def test_no_compiler_is_a_warning(monkeypatch):
    monkeypatch.setattr("raykg.cli.operators.ask_deepspeed", lambda: ask_deepspeed(ANSWER))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert operator_findings()[1].state == "warning"
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/" + name)
    assert operator_findings()[1].found == "/usr/bin/c++"


def test_the_real_deepspeed_answers():
    finding = ask_deepspeed()
    assert finding.state == "ok", finding
