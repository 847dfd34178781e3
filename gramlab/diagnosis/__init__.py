"""Diagnosis of somebody's own features and labels: should they distil, and which labels are wrong.

One noun per file: ``trial`` (a setting, and its accuracy without true labels), ``selection``
(which settings are tried), ``advice`` (one sentence), ``posterior`` (what heads and neighbours know
of each true label), ``cleaned`` (labels to train on), ``suspects``, ``recorruption`` (how far they
can be trusted), ``outliers`` (rows of no class), ``unlabelled`` (rows without a label),
``explanation`` (who voted), ``diagnosis`` (asked, run and found), ``columns`` (as tables and
arrays), ``origin`` (which of the caller's rows) and ``entry`` (``gramlab.diagnose``, of arrays and
labels as they are).
"""

from gramlab.diagnosis.diagnosis import Diagnosis, DiagnosisSettings, diagnose

__all__ = ["Diagnosis", "DiagnosisSettings", "diagnose"]
