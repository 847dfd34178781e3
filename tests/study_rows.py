"""Rows of a study made by hand, with known answers."""

from __future__ import annotations

from typing import Any

SETTING = {
    "features": "toy",
    "preparation": "raw",
    "noise": "symmetric",
    "weight_decay_name": "base",
}


def row(method: str, seed: int, value: float | None, **more: Any) -> dict[str, Any]:
    """One row; ``value`` is its test accuracy."""
    made = {**SETTING, "rate": 0.5, "seed": seed, "weight_decay": 1e-3, "method": method}
    made |= {"round": None, "test_accuracy": value, "selected_on": None}
    return made | more


def rounds(by_seed: dict[int, list[float]], **more: Any) -> list[dict[str, Any]]:
    """Rounds of plain distillation: test accuracies by seed, teacher first."""
    return [
        row("distill", seed, value, round=t, **more)
        for seed, values in by_seed.items()
        for t, value in enumerate(values, start=1)
    ]
