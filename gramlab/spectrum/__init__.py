"""Eigenvalues of the Gram matrix (``gram``), filters on them, and the cosines of classes."""

from gramlab.spectrum.gram import Spectrum, SpectrumCertificate, check_scale, dense_gram
from gramlab.spectrum.representer import representer_weights

__all__ = [
    "Spectrum",
    "SpectrumCertificate",
    "check_scale",
    "dense_gram",
    "representer_weights",
]
