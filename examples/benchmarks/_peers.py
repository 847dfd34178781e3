"""The other solvers of the same objective, each tightened until the referee says that it is there.

Every peer gets float features converted and laid out as it likes best before the clock starts, and
only its last, successful run counts: runs at tolerances that turned out too loose are free. Both
favour the peers. A peer that is not installed or cannot do the problem is a row with the reason.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import util

import numpy as np
from _measure import Problem, Settings, TimeLimit, time_limit, timed
from sklearn.linear_model import LogisticRegression

RUNGS = 12  # at most this many tolerances, each a third of the one before
CHOLESKY_UNKNOWNS = 1000  # newton-cholesky forms the K·d × K·d Hessian; past this it is no peer


@dataclass
class Result:
    """What one method did on one problem. ``seconds`` is empty where the target was missed."""

    method: str
    seconds: list[float]
    gap: float | None
    work: str
    spent: float = 0.0  # of the last run, successful or not


@dataclass
class Solve:
    """One run: what came out, how much work it says it was, and whether its own limit ended it."""

    weights: np.ndarray
    work: str
    exhausted: bool = False


def unusable(problem: Problem) -> str:
    """Why scikit-learn and Cyanure cannot fit this problem as it stands, or nothing."""
    if problem.features.n_classes < 3:
        return "skipped: with two classes it has one weight vector, another parametrization"
    if np.unique(problem.given).size < problem.features.n_classes:
        return "skipped: it leaves out classes that no given label names"
    return ""


def climb(
    method: str,
    fit: Callable[[float], Solve],
    tolerance: float,
    problem: Problem,
    settings: Settings,
) -> Result:
    """Tighten by thirds until the measured gap is reached or a run takes longer than the cap."""
    best, last, spent, reason = math.inf, math.inf, 0.0, f"{RUNGS} tolerances tried"

    def once(tolerance: float) -> tuple[float, Solve]:
        with time_limit(settings.cap):
            return timed(lambda: fit(tolerance))

    for _ in range(RUNGS):
        try:
            spent, found = once(tolerance)
        except TimeLimit:
            spent = settings.cap
            reason = f"interrupted after {settings.cap:g} s at tol={tolerance:.1e}"
            break
        gradient = problem.gradient(found.weights)
        gap = float((np.linalg.norm(gradient) / problem.start_norm) ** 2)
        best = min(best, gap)
        work = f"{found.work}, tol={tolerance:.1e}"
        if gap <= settings.target:
            seconds = [spent]
            for _ in range(settings.repeats - 1):
                with contextlib.suppress(TimeLimit):
                    seconds.append(once(tolerance)[0])
            return Result(method, seconds, gap, work, spent)
        if spent > settings.cap or found.exhausted:
            reason = f"{work}: {settings.cap:g} s or the iteration limit spent"
            break
        # Its own rule is not met and a tighter one changed nothing: rounding has it.
        if np.abs(gradient).max() > tolerance and gap > 0.9 * last:
            reason = f"{work}: a tighter tolerance changes nothing"
            break
        last = gap
        tolerance /= 3
    return Result(method, [], best if math.isfinite(best) else None, f"missed; {reason}", spent)


# ---- scikit-learn -----------------------------------------------------------------------------


def scikit_learn(solver: str, dtype: str, problem: Problem, settings: Settings) -> Result:
    """Its weight decay is C = 1/(Nλ) without an intercept; its rules are on max |∇L|."""
    method = f"scikit-learn {solver} {dtype}"
    features = problem.features
    reason = unusable(problem)
    if solver == "newton-cholesky":
        unknowns = features.n_classes * features.n_features
        if unknowns > CHOLESKY_UNKNOWNS:
            reason = f"skipped: a {unknowns} x {unknowns} Hessian (limit {CHOLESKY_UNKNOWNS})"
    if reason:
        return Result(method, [], None, reason)
    x = np.ascontiguousarray(features.x, dtype=dtype)

    def fit(tolerance: float) -> Solve:
        model = LogisticRegression(
            C=1 / (features.n_samples * problem.weight_decay),
            fit_intercept=False,
            solver=solver,
            tol=tolerance,
            max_iter=20_000,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it missed shows in the measured gap
            model.fit(x, problem.given)
        iterations = int(np.max(model.n_iter_))
        return Solve(model.coef_.T, f"{iterations} iterations", iterations >= model.max_iter)

    # The largest entry of a gradient is near a tenth of its norm here, so the first rung is about
    # the loosest that can do; newton-cholesky jumps past its tolerance and may start higher.
    guess = problem.start_norm * math.sqrt(settings.target)
    first = guess if solver == "newton-cholesky" else 0.1 * guess
    return climb(method, fit, first, problem, settings)


# ---- PyTorch ----------------------------------------------------------------------------------


def pytorch(problem: Problem, settings: Settings) -> Result:
    """L-BFGS, memory 20, strong Wolfe, float64, stopped at the first evaluation that will do."""
    method = "PyTorch L-BFGS float64"
    if util.find_spec("torch") is None:
        return Result(method, [], None, "skipped: PyTorch is not installed")
    import torch

    class Enough(Exception):
        pass

    x = torch.tensor(np.asarray(problem.features.x, dtype=np.float64))
    targets = torch.tensor(problem.targets)
    enough = 0.999 * math.sqrt(settings.target)  # its sums are not the referee's

    def fit(cap: float) -> Solve:
        shape = (x.shape[1], targets.shape[1])
        weights = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weights],
            max_iter=100_000,
            max_eval=200_000,
            history_size=20,
            line_search_fn="strong_wolfe",
            tolerance_grad=0,
            tolerance_change=0,
        )
        norms: list[float] = []
        end = time.perf_counter() + cap

        def closure():
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
        return Solve(weights.detach().numpy().copy(), f"{len(norms)} evaluations")

    fit(0.0)  # one evaluation: PyTorch loads parts of itself at the first step, in nobody's time
    seconds, gap, spent = [], None, 0.0
    for _ in range(settings.repeats):
        spent, found = timed(lambda: fit(settings.cap))
        gap = problem.relative_gap(found.weights)
        if gap > settings.target:
            reason = "out of time" if spent >= settings.cap else "stopped by itself"
            return Result(method, [], gap, f"missed; {reason}, {found.work}", spent)
        seconds.append(spent)
    return Result(method, seconds, gap, found.work, spent)


# ---- Cyanure ----------------------------------------------------------------------------------


def cyanure(problem: Problem, settings: Settings) -> Result:
    """Its λ is ours, its tol is the duality gap over its objective: f(W) − f* ≤ tol · f(W)."""
    method = "Cyanure auto float64"
    reason = unusable(problem)
    if util.find_spec("cyanure") is None:
        reason = "skipped: Cyanure is not installed"
    if reason:
        return Result(method, [], None, reason)
    from cyanure.estimators import Classifier

    x = np.ascontiguousarray(problem.features.x, dtype=np.float64)
    interval = 5  # epochs between two looks at its gap, its default

    def run(tolerance: float, epochs: int) -> Solve:
        model = Classifier(
            loss="multiclass-logistic",
            penalty="l2",
            lambda_1=problem.weight_decay,
            fit_intercept=False,
            tol=tolerance,
            max_iter=epochs,
            duality_gap_interval=interval,
            verbose=False,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it missed shows in the measured gap
            model.fit(x, problem.given)
        done = int(np.max(model.n_iter_))
        return Solve(np.asarray(model.coef_), f"{done} epochs", done >= epochs)

    # Compiled code cannot be interrupted: a short run tells how many epochs the cap allows.
    spent, found = timed(lambda: run(0.0, 2 * interval))
    done = max(int(found.work.split()[0]), 1)
    epochs = max(2 * interval, min(100_000, int(settings.cap * done / max(spent, 1e-9))))
    gap = settings.target * problem.start_norm**2 / (2 * problem.weight_decay)
    first = gap / problem.objective.value(found.weights)
    return climb(method, lambda tol: run(tol, epochs), first, problem, settings)


def everyone(problem: Problem, settings: Settings) -> Iterator[Result]:
    """Every peer; once one got there, the others have four times its time for a run."""
    peers: dict[str, Callable[[Settings], Result]] = {
        f"scikit-learn {solver} {dtype}": partial(scikit_learn, solver, dtype, problem)
        for solver, dtype in (
            ("newton-cg", "float32"),
            ("newton-cg", "float64"),
            ("lbfgs", "float64"),
            ("newton-cholesky", "float64"),
        )
    }
    peers |= {"PyTorch": partial(pytorch, problem), "Cyanure": partial(cyanure, problem)}
    cap = settings.cap
    for name, peer in peers.items():
        if settings.peers not in name:
            continue
        found = peer(replace(settings, cap=cap))
        if found.seconds:
            cap = min(cap, max(1.0, 4.0 * statistics.median(found.seconds)))
        yield found
