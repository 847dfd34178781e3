"""The chain at several weight decays: theory beside the exact heads, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gramlab.check.chain import ProgressReport, describe_data
from gramlab.check.settings import CheckSettings, prepare
from gramlab.features import Features
from gramlab.features.inspection import describe_run
from gramlab.labels import CorruptedLabels
from gramlab.path import DistillationPath, distillation_path
from gramlab.targets import Targets, one_hot

__all__ = ["PathCheck", "run_path_check"]


@dataclass(frozen=True, eq=False)
class PathCheck:
    """What ``gramlab check`` found at several weight decays.

    Of the ``settings`` all but the weight decay hold in every cell; ``features`` are prepared, and
    ``given`` the labels that were corrupted.
    """

    settings: CheckSettings
    features: Features = field(repr=False)
    given: CorruptedLabels = field(repr=False)
    path: DistillationPath

    def _repr_html_(self) -> str:
        return self.path._repr_html_()

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result (``--json``): results only, no times or paths."""
        decays = {"weight_decay": list(self.path.weight_decays)}
        return {
            "command": "check",
            "settings": self.settings.as_dict() | decays,
            "data": describe_data(self.features, self.given),
            "cells": self.path.as_dict()["cells"],
            "provenance": describe_run(self.features, self.settings.seed),
        }


def run_path_check(
    features: Features,
    settings: CheckSettings,
    weight_decays: Sequence[float],
    progress: ProgressReport | None = None,
    *,
    observed: CorruptedLabels | None = None,
) -> PathCheck:
    """Run both heads' rounds on ``features`` at each weight decay, in place of the settings' own.

    ``observed`` is as of ``run_check``.

    Raises
    ------
    InvalidSetting, InvalidFeatures, NotEnoughMemory, DeviceError
        As ``run_check`` and ``gramlab.distillation_path``.
    """
    tell = progress.stage if progress is not None else lambda name: None
    features, given, settings = prepare(features, settings, tell, observed)
    k = features.n_classes
    path = distillation_path(
        features,
        Targets(one_hot(given.labels, k) - 1.0 / k),
        weight_decays,
        settings.rounds,
        truth=given.true_labels,
        tolerance=settings.tolerance,
        certified_share=settings.certified_share,
        certify=settings.certify,
        stage=tell,
        solving=progress.solving if progress is not None else None,
    )
    return PathCheck(settings, features, given, path)
