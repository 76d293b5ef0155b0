"""The card of a learnt model: what it knows, what it comes from, and how far it is to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raykg.continual.calibration import LEAST, CalibrationError

if TYPE_CHECKING:
    from raykg.continual.calibration import Calibration

_PRECISIONS = (0.5, 0.7, 0.8, 0.9, 0.95)


def card(about: dict[str, Any], calibration: Calibration, sizes: list[int]) -> str:
    """Return the card, as Markdown.

    Args:
        about: what model.json holds.
        calibration: what the model told of posts whose truth is known.
        sizes: training posts of each task.
    """
    model = about["model"]
    what = "relations between two marked mentions" if about["kind"] == "relations" else "named entities"
    given = "texts" if model["image"] is None or model["modality"] == "text" else f"texts and pictures ({model['modality']})"
    types = ["| task | types | training posts |", "|---:|---|---:|"]
    for number, (names, size) in enumerate(zip(about["tasks"], sizes, strict=True), start=1):
        types.append(f"| {number} | {', '.join(names)} | {size:,} |")
    tested = ", ".join(f"{name} {value:.3f}" for name, value in about["tested"].items())
    return (
        "\n\n".join(
            (
                f"# {about['strategy']['name']}, seed {about['seed']}",
                f"Finds {what} in short posts, from {given}. Learnt task after task by `{about['strategy']['name']}` on {model['text']}"
                + (f" and {model['image']}" if model["image"] else "")
                + f". Weights {about['weights'][:12]}.",
                "## Types seen\n\n" + "\n".join(types) + "\n\nIt knows no other types, and will tell them as one of these or as none.",
                f"## Measured\n\nOn the test posts of all tasks, after the last one: {tested}.",
                "## Confidence\n\n" + _thresholds(calibration),
            )
        )
        + "\n"
    )


def _thresholds(calibration: Calibration) -> str:
    rows = ["| wanted precision | confidence at least | extractions from test posts | of these right |", "|---:|---:|---:|---:|"]
    for wanted in _PRECISIONS:
        try:
            threshold = calibration.threshold(wanted)
        except CalibrationError:
            rows.append(f"| {wanted:.2f} | not reached | | |")
            continue
        found = calibration.precision(threshold)
        low, high = found.interval()
        right = f"{found.share:.3f} (95 %: {low:.3f} to {high:.3f})" if found.all else "-"
        rows.append(f"| {wanted:.2f} | {threshold:.3f} | {found.all:,} | {right} |")
    validated = calibration.precision(0.0, "validation")
    least = f"each rests on at least {LEAST} of the {validated.all:,} extractions that those gave ({validated.right:,} were right)"
    return f"Thresholds are found on validation posts, and checked on test posts; {least}:\n\n" + "\n".join(rows)
