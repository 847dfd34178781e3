"""Hypothesis strategies and slow twins, for property-based tests of one's own (extra ``testing``).

A strategy draws small instances and shrinks them to the plainest one that still fails; each says
which that is. A size is a number or a strategy that draws one; left out, it is drawn small, of at
most 12 rows, 5 columns and 6 classes. A twin is a formula written from its definition with dense
matrices, to hold fast code against.
"""

from gramlab.testing.strategies import (
    block_models,
    corruption_matrices,
    features,
    gram_matrices,
    matrices,
    near_floor,
    near_ties,
    problems,
    spectra,
    targets,
    weight_decays,
)
from gramlab.testing.twins import (
    dense_closed_form,
    dense_filter,
    dense_gradient,
    dense_hessian,
    dense_newton_head,
    dense_objective,
)

__all__ = ["features", "gram_matrices", "matrices", "near_floor", "problems", "spectra"]
__all__ += ["near_ties", "targets", "corruption_matrices", "block_models", "weight_decays"]
__all__ += ["dense_closed_form", "dense_filter", "dense_gradient", "dense_hessian"]
__all__ += ["dense_newton_head", "dense_objective"]
