"""Results and figures as self-contained pages: ``check`` and ``diagnosis``, sharing ``page``."""

from __future__ import annotations

from gramlab.report.check import check_report, headline
from gramlab.report.diagnosis import diagnosis_report

__all__ = ["check_report", "diagnosis_report", "headline"]
