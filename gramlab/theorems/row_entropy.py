"""False: the mean entropy grows from round to round, that of a single row may fall."""

from itertools import pairwise

import numpy as np
from scipy.special import log_softmax

from gramlab.theorems._rounds import Round, exact_rounds, false_near, plain_rounds
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _entropies(x: np.ndarray, r: Round) -> tuple[np.ndarray, np.ndarray]:
    """Entropy of each row, and how far the true one can be.

    |dH| = |Cov_p(v, dv)| is at most a quarter of the two spreads; that of dv is at most √2 ‖x‖‖dW‖.
    """
    logits, moved = x @ r.weights.value, r.moved(x)
    logs = log_softmax(logits, axis=1)
    return -(np.exp(logs) * logs).sum(axis=1), moved * (np.ptp(logits, axis=1) + moved) / 4


def _compare(instance: Instance, first: int = 0) -> Check:
    """How much each row's entropy grows by round, beside how far that can be off."""
    found = [_entropies(instance["x"], r) for r in exact_rounds(instance)[first:]]
    changes = [(now - before, e + f) for (before, e), (now, f) in pairwise(found)]
    holds = all((grown >= -error).all() for grown, error in changes)
    return Check(bool(holds), min((float(grown.min()) for grown, _ in changes), default=0.0))


THEOREM = Theorem(
    name="row-entropy",
    title="The entropy of every row grows (false)",
    source="D",
    kind="sufficient",
    statement=r"H(p_i^{(t+1)}) \ge H(p_i^{(t)}) \quad \text{for every row } i",
    kernel=Rocq("counterexamples.v", ("row_entropy",)),
    check=_compare,
    planted={"from the second round on": lambda i: _compare(i, first=1)},
    **false_near(plain_rounds([[1, 0], [2, -2]], [0, 1], [1, 1])),
)
