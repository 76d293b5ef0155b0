import importlib.util

from raykg.train.probe import probe


def test_the_installed_deepspeed_is_named():
    (finding,) = probe()
    assert finding.topic == "deepspeed" and finding.state == "ok" and finding.found[0].isdigit()


def test_without_deepspeed_the_other_engine_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (finding,) = probe()
    assert finding.state == "warning" and "engine=torch" in finding.advice
