"""What `raykg doctor` asks DeepSpeed: which of its operators could be compiled here.

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


def operator_findings() -> list[Finding]:
    """Return what DeepSpeed says about itself, and whether there is a compiler for its operators."""
    findings = [ask_deepspeed()]
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    if compiler is None:
        advice = "DeepSpeed cannot compile operators: install gcc (apt-get install g++), or use engine=torch"
        findings.append(Finding("compiler", "warning", "no c++, g++ or clang++", advice))
    else:
        advice = "where DeepSpeed needs an operator, its first start on a machine compiles for about a minute"
        findings.append(Finding("compiler", "ok", compiler, advice))
    return findings


def ask_deepspeed(question: str = _QUESTION, seconds: float = _SECONDS) -> Finding:
    """Ask DeepSpeed in a process of its own which of its operators could run here."""
    advice = "use engine=torch, or repair it: pip install --force-reinstall deepspeed"
    try:
        done = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Finding("deepspeed operators", "warning", f"no answer within {seconds:.0f} s", advice)
    answer = done.stdout.rpartition("ANSWER")[2] if "ANSWER" in done.stdout else ""
    if not answer:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return Finding("deepspeed operators", "warning", f"does not start: {last}", advice)
    facts = json.loads(answer)
    can, cannot = (
        ", ".join(_USED_FOR.get(name, name) for name, fits in facts["operators"].items() if fits is wanted) for wanted in (True, False)
    )
    found = f"{facts['version']} on {facts['device']}: {can or 'none'}"
    return Finding("deepspeed operators", "ok", found, f"cannot be compiled here: {cannot}" if cannot else "")
