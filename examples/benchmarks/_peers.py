"""The other solvers of the same objective, each tightened until the referee says that it is there.

Every peer gets float features converted and laid out as it likes best before the clock starts, and
only its last, successful run counts: runs at tolerances that turned out too loose are free. Both
favour the peers. A peer that is not installed or cannot do the problem is a row with the reason.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import util
from typing import Any

import numpy as np
from _measure import Problem, Settings, repeat, spread, time_limit, timed
from sklearn.linear_model import LogisticRegression

RUNGS = 12  # at most this many tolerances, each a third of the one before
CHOLESKY_UNKNOWNS = 1000  # newton-cholesky forms the K·d × K·d Hessian; past this it is no peer
EPOCHS = 5  # of Cyanure between two looks at its gap, its default


@dataclass
class Result:
    """What one method did on one problem."""

    method: str
    seconds: dict[str, float] | None  # None where the target was missed
    gap: float | None
    work: str
    spent: float = 0.0  # of the last run, successful or not
    passes: float = 0.0  # of gramlab's


Solve = tuple[np.ndarray, str]  # weights, and how much work it says that it was


def labels_only(problem: Problem) -> str:
    """Why scikit-learn and Cyanure cannot fit this problem as it stands, or nothing."""
    if problem.features.n_classes < 3:
        return "skipped: with two classes it has one weight vector, another parametrization"
    if np.unique(problem.given).size < problem.features.n_classes:
        return "skipped: it leaves out classes that no given label names"
    return ""


def climb(method: str, fit: Any, tolerance: float, problem: Problem, settings: Settings) -> Result:
    """Tighten by thirds until the measured gap is reached or a run takes longer than the cap."""

    def run() -> tuple[float, Solve]:
        with warnings.catch_warnings(), time_limit(settings.cap):
            warnings.simplefilter("ignore")  # what it missed shows in the measured gap
            return timed(lambda: fit(tolerance))

    best, last, spent, reason = None, math.inf, 0.0, f"{RUNGS} tolerances tried"
    for _ in range(RUNGS):
        work = f"tol={tolerance:.1e}"
        try:
            spent, (weights, done) = run()
        except TimeoutError:
            spent, reason = settings.cap, f"interrupted after {settings.cap:g} s at {work}"
            break
        gap, work = problem.relative_gap(weights), f"{done}, {work}"
        best = gap if best is None else min(best, gap)
        if gap <= settings.target:
            seconds = [spent]
            with contextlib.suppress(TimeoutError):
                seconds += [run()[0] for _ in range(settings.repeats - 1)]
            return Result(method, spread(seconds), gap, work, spent)
        if spent > 0.9 * settings.cap:
            reason = f"{work}: {settings.cap:g} s spent"
            break
        # Its own rule is not met and a tighter one changed nothing: rounding has it.
        gradient = problem.objective.gradient(np.asarray(weights, np.float64))
        if np.abs(gradient).max() > tolerance and gap > 0.9 * last:
            reason = f"{work}: a tighter tolerance changes nothing"
            break
        last, tolerance = gap, tolerance / 3
    return Result(method, None, best, f"missed; {reason}", spent)


def scikit_learn(solver: str, dtype: str, problem: Problem, settings: Settings) -> Result:
    """Its weight decay is C = 1/(Nλ) without an intercept; its rules are on max |∇L|."""
    method = f"scikit-learn {solver} {dtype}"
    features = problem.features
    reason, unknowns = labels_only(problem), features.n_classes * features.n_features
    if solver == "newton-cholesky" and unknowns > CHOLESKY_UNKNOWNS:
        reason = f"skipped: a {unknowns} x {unknowns} Hessian (limit {CHOLESKY_UNKNOWNS})"
    if reason:
        return Result(method, None, None, reason)
    x = np.ascontiguousarray(features.x, dtype=dtype)
    settled = {"C": 1 / (features.n_samples * problem.weight_decay), "fit_intercept": False}

    def fit(tolerance: float) -> Solve:
        model = LogisticRegression(**settled, solver=solver, tol=tolerance, max_iter=20_000)
        model.fit(x, problem.given)
        return model.coef_.T, f"{int(np.max(model.n_iter_))} iterations"

    # The largest entry of a gradient is near a tenth of its norm here, so the first rung is about
    # the loosest that can do; newton-cholesky jumps past its tolerance and may start higher.
    guess = problem.objective.start_norm * math.sqrt(settings.target)
    first = guess if solver == "newton-cholesky" else 0.1 * guess
    return climb(method, fit, first, problem, settings)


def pytorch(problem: Problem, settings: Settings) -> Result:
    """L-BFGS, memory 20, strong Wolfe, float64, stopped at the first evaluation that will do."""
    method = "PyTorch L-BFGS float64"
    if util.find_spec("torch") is None:
        return Result(method, None, None, "skipped: PyTorch is not installed")
    import torch

    class Enough(Exception):
        pass

    x = torch.tensor(np.asarray(problem.features.x, dtype=np.float64))
    targets = torch.tensor(problem.targets)
    enough = 0.999 * math.sqrt(settings.target)  # its sums are not the referee's
    limits = {"max_iter": 100_000, "max_eval": 200_000, "tolerance_grad": 0, "tolerance_change": 0}

    def fit(cap: float) -> Solve:
        shape = (x.shape[1], targets.shape[1])
        weights = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        search = {"history_size": 20, "line_search_fn": "strong_wolfe"}
        optimizer = torch.optim.LBFGS([weights], **search, **limits)
        norms: list[float] = []
        end = time.perf_counter() + cap

        def closure() -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(x @ weights, targets)
            loss = loss + 0.5 * problem.weight_decay * weights.square().sum()
            loss.backward()
            norms.append(float(weights.grad.norm()))
            if norms[-1] <= enough * norms[0] or time.perf_counter() > end:
                raise Enough
            return loss

        with contextlib.suppress(Enough):
            optimizer.step(closure)
        return weights.detach().numpy().copy(), f"{len(norms)} evaluations"

    fit(0.0)  # one evaluation: PyTorch loads parts of itself at the first step, in nobody's time
    spent, (weights, work) = timed(lambda: fit(settings.cap))
    gap = problem.relative_gap(weights)
    if gap > settings.target:
        return Result(method, None, gap, f"missed; {work}", spent)
    seconds, _ = repeat(lambda _: fit(settings.cap), settings.repeats)
    return Result(method, seconds, gap, work, spent)


def cyanure(problem: Problem, settings: Settings) -> Result:
    """Its λ is ours, its tol is the duality gap over its objective: f(W) − f* ≤ tol · f(W)."""
    method, reason = "Cyanure auto float64", labels_only(problem)
    if util.find_spec("cyanure") is None:
        reason = "skipped: Cyanure is not installed"
    if reason:
        return Result(method, None, None, reason)
    from cyanure.estimators import Classifier

    x = np.ascontiguousarray(problem.features.x, dtype=np.float64)
    loss = {"loss": "multiclass-logistic", "penalty": "l2", "lambda_1": problem.weight_decay}

    def run(tolerance: float, epochs: int) -> Solve:
        limits = {"tol": tolerance, "max_iter": epochs, "duality_gap_interval": EPOCHS}
        model = Classifier(**loss, **limits, fit_intercept=False, verbose=False)
        model.fit(x, problem.given)
        return np.asarray(model.coef_), f"{int(np.max(model.n_iter_))} epochs"

    # Compiled code cannot be interrupted: a short run tells how many epochs the cap allows.
    spent, (weights, _) = timed(lambda: run(0.0, 2 * EPOCHS))
    epochs = min(100_000, int(2 * EPOCHS * max(1.0, settings.cap / max(spent, 1e-9))))
    gap = settings.target * problem.objective.start_norm**2 / (2 * problem.weight_decay)
    first = gap / problem.objective.value(np.asarray(weights, np.float64))
    return climb(method, lambda tol: run(tol, epochs), first, problem, settings)


def everyone(problem: Problem, settings: Settings) -> Iterator[Result]:
    """Every peer; once one got there, the others have four times its time for a run."""
    peers: dict[str, Callable[[Problem, Settings], Result]] = {
        f"scikit-learn {solver} {dtype}": partial(scikit_learn, solver, dtype)
        for solver, dtype in (
            ("newton-cg", "float32"),
            ("newton-cg", "float64"),
            ("lbfgs", "float64"),
            ("newton-cholesky", "float64"),
        )
    }
    for name, peer in (peers | {"PyTorch": pytorch, "Cyanure": cyanure}).items():
        if settings.peers in name:
            found = peer(problem, settings)
            if found.seconds:
                cap = min(settings.cap, max(1.0, 4.0 * found.seconds["median"]))
                settings = replace(settings, cap=cap)
            yield found
