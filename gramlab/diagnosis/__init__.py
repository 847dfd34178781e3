"""Diagnosis of somebody's own features and labels: should they distil, and which labels are wrong.

One noun per file: ``accuracy`` (estimated without true labels), ``trial`` (a setting and how it
fared), ``folds`` and ``selection`` (which settings are tried),
``advice`` (one sentence), ``neighbours`` and ``posterior`` (what is known of each true label),
``suspects``, ``recorruption`` (how far they can be trusted), ``explanation`` (who voted),
``settings``, ``diagnosis`` (all that was found), ``columns`` (as a table), and ``chain``, which
runs it all.
"""

from __future__ import annotations

from gramlab.diagnosis.chain import diagnose
from gramlab.diagnosis.diagnosis import Diagnosis
from gramlab.diagnosis.settings import DiagnosisSettings

__all__ = ["Diagnosis", "DiagnosisSettings", "diagnose"]
