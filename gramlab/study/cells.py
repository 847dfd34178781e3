"""Cells: the pieces a study is computed, kept and found again by.

A cell is one draw of noisy labels and all heads fitted to it. Its key is a hash of everything that
its numbers depend on: the features, the settings, the versions of what computes them. Equal keys
mean equal numbers, so a cell is computed once, whatever study asks for it. No cell depends on
another one, not even by a start: a study that was interrupted gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.numerics.content import sha256

__all__ = ["COLUMNS", "FORMAT", "Cell", "canonical_json"]

FORMAT = 2
"""Number of what a cell's content means; raised when its numbers come to mean something else."""

COLUMNS = tuple(
    """
    noise rate realized_rate seed weight_decay method round
    train_accuracy label_recovery test_accuracy top_two_coverage
    relative_gap weights_bound certified_right certified_wrong certified_undecided
    relative_gradient_norm linearized_label_recovery linearized_test_accuracy
    argmax_agreement max_abs_distance selected_on
    """.split()
)
"""Columns that every row has; columns that only some methods have follow behind."""


def canonical_json(value: object) -> str:
    """One text for one value: keys sorted, no spaces, shortest decimals that are exact.

    Raises
    ------
    InvalidSetting
        If the value has no such text: nan, infinite, or not of JSON's kinds.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise InvalidSetting(
            f"settings of a cell must be finite numbers, text, lists and mappings, got {value!r} "
            f"({problem}); convert it first"
        ) from problem


@dataclass(frozen=True)
class Cell:
    """One piece of a study.

    Attributes
    ----------
    kind
        ``grid``, ``tuned``, ``ablation``, ``published``, ``structure`` or ``approximation``.
    noise, rate, seed
        Of the draw of given labels.
    weight_decay
        λ; ``None`` for tuned cells, which choose it.
    options
        Everything else that its numbers depend on, by name.
    name
        What the weight decay is called in the study; not part of the content.
    """

    kind: str
    noise: str
    rate: float
    seed: int
    weight_decay: float | None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def content(self) -> dict[str, Any]:
        """What the numbers depend on besides features and versions, as JSON has it."""
        return {
            "kind": self.kind,
            "noise": self.noise,
            "rate": float(self.rate),
            "seed": int(self.seed),
            "weight_decay": None if self.weight_decay is None else float(self.weight_decay),
            "options": dict(self.options),
        }

    def depends_on(self, fingerprint: str, versions: Mapping[str, str]) -> dict[str, Any]:
        """Everything that its numbers depend on."""
        content = {"features": fingerprint, "cell": self.content(), "versions": dict(versions)}
        return {"format": FORMAT, **content}

    def key(self, fingerprint: str, versions: Mapping[str, str]) -> str:
        """SHA-256 of these: 64 hexadecimal digits."""
        return sha256(canonical_json(self.depends_on(fingerprint, versions)))

    @property
    def heads(self) -> int:
        """Exact heads that it fits, for progress and estimates."""
        options = self.options
        if self.kind == "grid":
            students = {"top2-ce", "top2-gce", "mixture"}.intersection(options["methods"])
            return options["rounds"] + len(students)
        if self.kind == "tuned":
            return len(options["grid"]) + 2
        if self.kind == "published":
            return 2 * (options["rounds"] + 1) - 1
        return {"ablation": 8, "approximation": options.get("rounds", 0)}.get(self.kind, 0)

    @property
    def words(self) -> str:
        """The cell in a few words, for progress."""
        words = f"{self.kind}: {self.noise} {self.rate:g}, seed {self.seed}"
        if self.weight_decay is None:
            return words
        return f"{words}, weight decay {self.weight_decay:.3g}"
