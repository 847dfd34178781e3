"""Diagnosis of somebody's own features and labels: should they distil, and which labels are wrong.

One noun per file: ``accuracy`` (estimated without true labels), ``selection`` (settings tried),
``advice`` (one sentence), ``neighbours`` and ``posterior`` (what is known of each true label),
``suspects``, ``recorruption`` (how far they can be trusted), ``explanation`` (who voted), and
``diagnosis``, which runs it all.
"""

from __future__ import annotations

from gramlab.diagnosis.diagnosis import Diagnosis, DiagnosisSettings, diagnose

__all__ = ["Diagnosis", "DiagnosisSettings", "diagnose"]
