"""Risk of linearized rounds without held-out rows: when to stop, and how much to mix.

Rounds are linear in the given labels, so cross-validation needs no refitting. With S_t the filter
of round t, A = S_t ⋯ S_1, D the given targets less 1/K and ω the weights of rows:

* leave-one-out, exactly: a head without row i is the head on all rows if row i's target is what it
  predicts there. So with f_0 = D the predictions f_t for row i of rounds that never saw row i obey

      (1 − (S_t)_ii) f_t = (A D)_i + Σ_{s<t} (S_t ⋯ S_s)_ii (f_s − f_{s−1}) − (S_t)_ii f_{t−1},

  and the risk is Σ_i ω_i ‖D_i − f_t‖²/N (derived here; theorem ``leave-one-out-rounds``);
* generalized cross-validation: Σ_i ω_i ‖(D − A D)_i‖²/N over (1 − tr(A)/N)², as if all rows had the
  mean leverage; iterated over rounds as in arXiv 2602.14029, whose students see new rows.

μ = K N λ keeps the N of all rows. Risks are of squared errors against the *given* labels: label
noise that knows nothing of other rows adds the same to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gramlab import errors, validation
from gramlab.numerics.rounding import gamma
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import linear_mu
from gramlab.targets import OneHotRows, Targets, target_deviations

__all__ = ["OptimalMixing", "RiskByRound", "optimal_mixing", "risk_by_round"]


@dataclass(frozen=True)
class RiskByRound:
    """Estimated risk of the linearized rounds t = 1, 2, ….

    Attributes
    ----------
    risks
        ``risks[t - 1]`` of round t: mean over rows of ‖D_i − prediction‖², unseen.
    residuals
        The same of predictions that saw the row: the training error.
    degrees_of_freedom
        tr of the filter of all rounds up to t.
    method
        ``"gcv"`` or ``"loo"``.
    """

    risks: tuple[float, ...]
    residuals: tuple[float, ...]
    degrees_of_freedom: tuple[float, ...]
    method: str

    @property
    def best(self) -> int:
        """The round t of least risk, counted from 1; at the last, more might do better."""
        return int(np.argmin(self.risks)) + 1


@dataclass(frozen=True)
class OptimalMixing:
    """The mixing weight ξ of least estimated risk, in ``distill(..., rounds=2, mixing=weight)``.

    Attributes
    ----------
    weight
        ξ*, any real number: below 0 where more weight decay would hurt, above 1 where the student
        still keeps too much of the labels.
    risk
        Estimated at ξ*: mean over rows of ‖D_i − prediction‖², unseen.
    teacher, student
        The same at ξ = 0, where the student is the teacher, and at ξ = 1.
    method
        ``"loo"`` or ``"gcv"``.
    """

    weight: float
    risk: float
    teacher: float
    student: float
    method: str


def risk_by_round(
    spectrum: Spectrum,
    targets: Targets | OneHotRows | np.ndarray,
    weight_decay: float | Sequence[float],
    rounds: int | None = None,
    *,
    method: str = "gcv",
) -> RiskByRound:
    """Estimate the risk of each linearized round from the spectrum, without refitting.

    Nothing is said of exact heads: it is the linear filter whose rounds are counted, and the best
    round of exact heads can be another one (docs/students.md).

    Parameters
    ----------
    spectrum
        Of the training features, with weights on rows or without.
    targets
        Given targets (N, K), e.g. ``one_hot(labels, n_classes)``.
    weight_decay, rounds
        λ of all rounds and their number; or a λ for each round.
    method
        ``"gcv"``, or ``"loo"`` for leave-one-out, which needs no equal leverages, at N r operations
        for each pair of rounds whose weight decays differ.

    Raises
    ------
    InvalidTargets
        If targets are no (N, K) rows that sum to 1.
    InvalidSetting
        If a number is out of range, ``method`` is another word, or predictions leave the labels no
        freedom that float64 can see: tr(A)/N or a leverage is 1 to rounding.
    """
    _check_method(method)
    decays = _schedule(weight_decay, rounds)
    problem = _Problem.of(spectrum, targets, decays)
    filters = np.cumprod([problem.filter(mu) for mu in problem.mus], axis=0)
    # 1 − Π h = −expm1(Σ ln h), which keeps its digits where it is small.
    cut = -np.expm1(np.cumsum([-np.log1p(mu / problem.known) for mu in problem.mus], axis=0))
    residuals = (problem.rest + np.square(cut) @ problem.energy) / problem.n
    if method == "gcv":
        free = (problem.n - len(problem.known) + cut.sum(axis=1)) / problem.n
        for t, one in enumerate(free, 1):
            problem.check_trace(one, t)
        risks = residuals / np.square(free)
    else:
        risks = np.array([problem.mean_square(d) for d in _leave_one_out(problem)])
    risks, residuals, degrees = (
        tuple(values.tolist()) for values in (risks, residuals, filters.sum(axis=1))
    )
    return RiskByRound(risks, residuals, degrees, method)


def optimal_mixing(
    spectrum: Spectrum,
    targets: Targets | OneHotRows | np.ndarray,
    weight_decay: float,
    *,
    method: str = "loo",
) -> OptimalMixing:
    """The mixing weight ξ* of a linearized student with the least estimated risk, in closed form.

    The student of ξ P^(1) + (1 − ξ) Y predicts (1 − ξ) P^(1) + ξ P^(2), P^(2) the plain student's,
    and so do both without row i. With e = D − f_1 and v = f_1 − f_2 of leave-one-out predictions
    the risk ‖e + ξ v‖²/N is a parabola in ξ, and

        ξ* = −⟨e, v⟩/‖v‖².

    Generalized cross-validation is ‖p + ξ q‖² N/(α + β ξ)² with p, q the residuals that saw their
    rows, α = N − tr h(G), β = tr(h(G) − h(G)²): a parabola in 1/(α + β ξ), and its minimum is at
    ξ* = (β ‖p‖² − α ⟨p, q⟩)/(α ‖q‖² − β ⟨p, q⟩). As P^(2) − P^(1) = μ ∂P^(1)/∂μ, ξ* has the sign
    opposite to that of the derivative of the teacher's risk in λ (theorem ``mixing-direction``;
    arXiv 2602.17565, whose one-shot tuning this is for a linear head on classes).

    Parameters
    ----------
    spectrum, targets, method
        As of ``risk_by_round``.
    weight_decay
        λ > 0 of teacher and student.

    Raises
    ------
    InvalidTargets, InvalidSetting
        As ``risk_by_round``; InvalidSetting also if the student predicts as the teacher does, or
        generalized cross-validation is least where it leaves no freedom, α + β ξ ≤ 0.
    """
    _check_method(method)
    problem = _Problem.of(spectrum, targets, [weight_decay] * 2)
    # ‖p + ξ q‖² = a + 2 b ξ + c ξ², over (α + β ξ)².
    if method == "loo":
        p, unseen = _leave_one_out(problem)
        q = unseen - p
        a, b, c = problem.inner(p, p), problem.inner(p, q), problem.inner(q, q)
        alpha, beta = float(problem.n), 0.0
    else:
        h = problem.filter(problem.mus[0])
        cut = problem.mus[0] / (problem.known + problem.mus[0])
        a = problem.rest + float(np.square(cut) @ problem.energy)
        b, c = (float((cut ** (2 - i) * (h * cut) ** i) @ problem.energy) for i in (1, 2))
        alpha = problem.n - len(h) + float(cut.sum())
        beta = float((h * cut).sum())
        problem.check_trace(alpha / problem.n, 1)
    if not c > 0.0:
        raise errors.InvalidSetting(
            "targets must leave the student something to change, got a student that predicts as "
            "the teacher does: give labels that the features bear on, or another weight decay"
        )
    lowest = alpha * c - beta * b  # α + β ξ* is ‖α q − β p‖² over it
    if not lowest > 0.0:
        raise errors.InvalidSetting(
            "generalized cross-validation must be least where a mixing weight leaves freedom, got "
            'a minimum at none: pass method="loo"'
        )
    weight = (beta * a - alpha * b) / lowest

    def risk(xi: float) -> float:
        return problem.n * (a + 2.0 * xi * b + xi * xi * c) / (alpha + beta * xi) ** 2

    return OptimalMixing(weight, risk(weight), risk(0.0), risk(1.0), method)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Given targets in the eigenbasis of the Gram matrix, and what is known of it.

    ``energy`` is ‖u_jᵀ√ΩD‖² along the eigenvalues ``known`` to be above 0, ``rest`` the squared
    norm of √ΩD outside them. ``doubts`` are how far the filter of all rounds may be off at each of
    the stored eigenvalues, those that are not known at the end.
    """

    spectrum: Spectrum
    deviations: np.ndarray
    mus: tuple[float, ...]
    known: np.ndarray
    moments: np.ndarray
    energy: np.ndarray
    rest: float
    doubts: np.ndarray

    @classmethod
    def of(
        cls,
        spectrum: Spectrum,
        targets: Targets | OneHotRows | np.ndarray,
        decays: Sequence[float],
    ) -> _Problem:
        n = spectrum.n_samples
        deviations = target_deviations(targets, n, signed=True)
        mus = tuple(linear_mu(deviations.shape[1], n, decay) for decay in decays)
        s, error = spectrum.eigenvalues, spectrum.certificate.eigenvalue_error
        kept = s > error
        z = spectrum.coordinates[:, kept]
        moments, known = z.T @ spectrum.weighted(deviations), s[kept]
        outside = deviations - z @ (moments / known[:, None])
        # |h'| = μ/(s + μ)², largest at the lowest that s can be.
        lowest = np.append(known - error, np.zeros(len(s) - len(known)))
        doubts = sum(error * mu / np.square(lowest + mu) for mu in mus)
        return cls(
            spectrum,
            deviations,
            mus,
            known,
            moments,
            np.square(moments).sum(axis=1) / known,
            float(np.vdot(spectrum.weighted(outside), outside)),
            np.asarray(doubts),
        )

    @property
    def n(self) -> int:
        return self.spectrum.n_samples

    def filter(self, mu: float) -> np.ndarray:
        """h(s) on the known eigenvalues."""
        return self.known / (self.known + mu)

    def inner(self, a: np.ndarray, b: np.ndarray) -> float:
        """Σ_i ω_i ⟨a_i, b_i⟩."""
        return float(np.vdot(self.spectrum.weighted(a), b))

    def mean_square(self, values: np.ndarray) -> float:
        """Σ_i ω_i ‖v_i‖²/N."""
        return self.inner(values, values) / self.n

    def check_trace(self, free: float, t: int) -> None:
        """Refuse where 1 − tr(A)/N is not known to a factor of 2."""
        self._check(free, float(self.doubts.sum()) / self.n, f"1 − tr(A)/N in round {t}")

    def check_leverages(self, leverages: np.ndarray, t: int) -> None:
        """Refuse where 1 − (S_t)_ii of a row is not: a mean of filters, and a sum that rounds."""
        row = int(leverages.argmax())
        doubt = float(self.doubts.max()) + gamma(len(self.doubts) + 16)
        what = f"1 − the leverage of row {row} in round {t}"
        self._check(1.0 - float(leverages[row]), doubt, what)

    def _check(self, free: float, doubt: float, what: str) -> None:
        if not free > 2.0 * doubt:
            raise errors.InvalidSetting(
                f"weight_decay must leave {what} more than {2.0 * doubt:.2g}, which float64 can "
                f"tell from 0, got {free:.2g}: raise it, or use more rows than features"
            )


def _leave_one_out(problem: _Problem) -> list[np.ndarray]:
    """D − f_t (N, K) by round, by the recursion of the module's docstring."""
    kept = problem.spectrum.eigenvalues > problem.spectrum.certificate.eigenvalue_error
    z, given = problem.spectrum.coordinates[:, kept], problem.deviations
    squares = problem.spectrum.weighted(np.square(z))
    diagonals: dict[tuple[float, ...], np.ndarray] = {}

    def diagonal(mus: tuple[float, ...]) -> np.ndarray:
        """Of the product of these rounds' filters, which commute (N, 1)."""
        key = tuple(sorted(mus))
        if key not in diagonals:
            diagonals[key] = (squares @ (_product(problem, key) / problem.known))[:, None]
        return diagonals[key]

    mus, out, steps, before = problem.mus, [], [], given
    for t in range(1, len(mus) + 1):
        own = diagonal(mus[t - 1 : t])
        problem.check_leverages(own[:, 0], t)
        made = z @ ((_product(problem, mus[:t]) / problem.known)[:, None] * problem.moments)
        for s, step in enumerate(steps):
            made += diagonal(mus[s:t]) * step
        now = (made - own * before) / (1.0 - own)
        steps.append(now - before)
        out.append(given - now)
        before = now
    return out


def _product(problem: _Problem, mus: Sequence[float]) -> np.ndarray:
    """Π h(s) of several rounds."""
    return np.prod([problem.filter(mu) for mu in mus], axis=0)


def _check_method(method: object) -> None:
    if method not in ("gcv", "loo"):
        raise errors.InvalidSetting(f'method must be "gcv" or "loo", got {method!r}')


def _schedule(weight_decay: float | Sequence[float], rounds: int | None) -> list[float]:
    """λ of each round."""
    if np.ndim(weight_decay) == 0:
        if rounds is None:
            raise errors.InvalidSetting(
                "rounds must be given with one weight_decay for all, got None: pass their number, "
                "or a weight decay for each round"
            )
        return [weight_decay] * validation.check_integer("rounds", rounds, 1)  # pyright: ignore
    decays = list(np.atleast_1d(np.asarray(weight_decay, dtype=object)))
    if not decays or rounds not in (None, len(decays)):
        raise errors.InvalidSetting(
            f"rounds must be the number of weight decays where there is one for each, got {rounds} "
            f"and {len(decays)} weight decays: leave it out"
        )
    return decays
