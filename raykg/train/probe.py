"""What `raykg doctor` asks this room: DeepSpeed, and what it would have to compile."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from raykg.config.finding import Finding


def probe() -> list[Finding]:
    """Return what training finds on this machine; DeepSpeed itself is not imported, which takes seconds."""
    if importlib.util.find_spec("deepspeed") is None:
        return [Finding("deepspeed", "warning", "not installed", "install deepspeed, or train with engine=torch")]
    version = importlib.metadata.version("deepspeed")
    return [Finding("deepspeed", "ok", f"{version}; nothing to compile: raykg trains with torch's AdamW over gloo or NCCL")]
