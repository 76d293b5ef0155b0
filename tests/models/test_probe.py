from types import SimpleNamespace

import pytest

from raykg.models.probe import probe


def test_torch_is_described():
    import torch

    topics = {finding.topic: finding for finding in probe()}
    assert torch.__version__ in topics["torch"].found
    assert "bfloat16" in topics


@pytest.mark.parametrize(("native", "state"), [(True, "ok"), (False, "warning")])
def test_gpus_are_listed(monkeypatch, native, state):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(name="H200", total_memory=139 * 2**30))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    findings = {finding.topic: finding for finding in probe()}
    assert findings["GPU 0"].found == findings["GPU 1"].found == "H200, 139 GiB"
    assert findings["bfloat16"].state == state


def test_no_gpu_is_a_warning(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = next(finding for finding in probe() if finding.topic == "GPU")
    assert finding.state == "warning" and "torch" in finding.advice
