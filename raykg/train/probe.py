"""What `raykg doctor` asks this room: DeepSpeed, and whether its operators can be compiled here.

DeepSpeed is asked in a process of its own: importing it prints, may write to caches and, on a broken CUDA, may end the process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from raykg.config.finding import Finding

_SECONDS = 120.0
_QUESTION = """
import json, sys
import deepspeed
from deepspeed.accelerator import get_accelerator
accelerator = get_accelerator()
def fits(name):
    builder = accelerator.create_op_builder(name)
    return builder is not None and bool(builder.is_compatible(verbose=False))
operators = {name: fits(name) for name in ("CPUAdamBuilder", "FusedAdamBuilder", "ShareMemCommBuilder", "AsyncIOBuilder")}
print("\\nANSWER" + json.dumps({"version": deepspeed.__version__, "device": accelerator.device_name(), "operators": operators}))
"""
_USED_FOR = {
    "CPUAdamBuilder": "optimiser on the CPU (offload)",
    "FusedAdamBuilder": "fused optimiser",
    "ShareMemCommBuilder": "shared-memory communication of CPU workers",
    "AsyncIOBuilder": "offload to NVMe",
}


def probe() -> list[Finding]:
    """Return what DeepSpeed says about itself, and whether there is a compiler for its operators."""
    findings = [deepspeed_finding()]
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    if compiler is None:
        advice = "DeepSpeed compiles operators at its first start: install gcc (apt-get install g++), or use engine=torch"
        findings.append(Finding("compiler", "warning", "no c++, g++ or clang++", advice))
    else:
        findings.append(Finding("compiler", "ok", compiler, "DeepSpeed's first start on a machine compiles for about a minute"))
    return findings


def deepspeed_finding(question: str = _QUESTION, seconds: float = _SECONDS) -> Finding:
    """Ask DeepSpeed in a process of its own which of its operators could run here."""
    advice = "use engine=torch, or repair it: pip install --force-reinstall deepspeed"
    try:
        done = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Finding("deepspeed", "warning", f"no answer within {seconds:.0f} s", advice)
    answer = done.stdout.rpartition("ANSWER")[2] if "ANSWER" in done.stdout else ""
    if not answer:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return Finding("deepspeed", "warning", f"does not start: {last}", advice)
    facts = json.loads(answer)
    cannot = [_USED_FOR.get(name, name) for name, fits in facts["operators"].items() if not fits]
    return Finding(
        "deepspeed", "ok", f"{facts['version']} for {facts['device']}", f"cannot be compiled here: {', '.join(cannot)}" if cannot else ""
    )
