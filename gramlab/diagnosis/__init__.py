"""Diagnosis of somebody's own features and labels: should they distil, and which labels are wrong.

One noun per file: ``trial`` (a setting, and its accuracy without true labels), ``selection``
(which settings are tried), ``advice`` (one sentence), ``posterior`` (what heads and neighbours know
of each true label), ``suspects``, ``recorruption`` (how far they can be trusted), ``explanation``
(who voted), ``diagnosis`` (what was asked, and all that was found), ``columns`` (as a table), and
``chain``, which runs it all.
"""

from __future__ import annotations

from gramlab.diagnosis.chain import diagnose
from gramlab.diagnosis.diagnosis import Diagnosis, DiagnosisSettings

__all__ = ["Diagnosis", "DiagnosisSettings", "diagnose"]
