"""What `raykg doctor` asks this room: torch, its devices, and whether bfloat16 pays."""

from __future__ import annotations

from typing import Any

from raykg.config.finding import Finding


def probe() -> list[Finding]:
    """Return what torch finds on this machine."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    findings = [Finding("torch", "ok", f"{torch.__version__} ({build}), {torch.get_num_threads()} threads")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(index)
            findings.append(Finding(f"GPU {index}", "ok", f"{device.name}, {device.total_memory / 2**30:.0f} GiB"))
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        advice = "" if bfloat16 else "these GPUs only emulate it: set model.dtype=float32"
        findings.append(Finding("bfloat16", "ok" if bfloat16 else "warning", "on GPU" if bfloat16 else "not on these GPUs", advice))
        return findings
    why = "torch is built without CUDA" if torch.version.cuda is None else "torch sees none: check the driver with nvidia-smi"
    findings.append(Finding("GPU", "warning", "none", f"{why}; a 135M model trains on CPU in minutes, models over 1B need a GPU"))
    mkldnn: Any = torch.backends.mkldnn  # has no types
    fast = mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    findings.append(
        Finding(
            "bfloat16",
            "ok",
            f"on CPU: {'supported' if fast else 'not supported'}",
            "CPU runs use float32 unless model.dtype says otherwise",
        )
    )
    return findings
