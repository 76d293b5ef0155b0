"""Settings and measures as a reader wants them: `lora.rank 16, train.learning_rate 0.003`; `accuracy 0.61, adapter_size 2.4 MB`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykg.tune.measures import MEASURES, Values


def told_settings(settings: Mapping[str, Any]) -> str:
    """Return settings on one line."""
    return ", ".join(f"{key} {told_setting(value)}" for key, value in settings.items())


def told_setting(value: Any) -> str:  # noqa: ANN401 - a setting
    """Return one setting."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def told_values(values: Values, names: Sequence[str]) -> str:
    """Return measures on one line."""
    return ", ".join(f"{name} {told_value(name, values[name])}" for name in names)


def told_value(name: str, value: float) -> str:
    """Return one measure with its unit."""
    unit = MEASURES[name].unit
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    return f"{value:.3f}" + (f" {unit}" if unit else "")
