"""Label transition matrix from features and given labels alone, with intervals.

Nobody who needs C[k, j] = P(given j | true k) knows the true labels. What stands in for them are
predictions that never saw a row's own label: where the noise depends on the true class only, the
given label is independent of such a prediction once the true class is known.

1. Exact heads on folds give every row out-of-fold logits z_i (K,).
2. p_i = softmax(β z_i + b) is read as the distribution of the *true* class, and (β, b, C) maximize
   the likelihood of the given labels, Σ_i log Σ_y p_i(y) C[y, given_i]: by EM in C (in which the
   problem is concave) and by a search in β. The same likelihood chooses the weight decay.
3. Rounds 2, 3, …: heads are refitted to the posteriors T_i(y) ∝ p_i(y) C[y, given_i] of their own
   training rows (a distillation round that knows the noise), and steps 1 and 2 are repeated.
4. Intervals rest on counts: of the confident rows predicted k, those given j. Clopper-Pearson
   covers the sampling; rows of other classes among them ("contamination") are allowed for by
   taking the extremes between none and ``allowance`` times what heads expect. The interval of the
   noise rate leaves open how disagreement divides between wrong labels and wrong heads.
5. Whether noise depends on more than the class is tested by margin (``margins``).

Source: the mixture is the noise-adaptation model of Goldberger & Ben-Reuven (ICLR 2017) with the
head held out; EM as Dempster, Laird & Rubin (1977); binomial limits as Clopper & Pearson (1934).
"""

from gramlab.transition.estimate import TransitionEstimate, estimate_transition, given_to_true
from gramlab.transition.intervals import NoiseRate, clopper_pearson, intervals
from gramlab.transition.margins import MarginTest, margin_test
from gramlab.transition.mixture import fit_mixture

__all__ = [
    "MarginTest",
    "NoiseRate",
    "TransitionEstimate",
    "clopper_pearson",
    "estimate_transition",
    "fit_mixture",
    "given_to_true",
    "intervals",
    "margin_test",
]
