"""Exact heads and rounds in 50 digits, from the definition, and heads that answer as told."""

from __future__ import annotations

import mpmath as mp
import numpy as np

from gramlab.features import Features
from gramlab.heads.fit import Fit, SolveStats
from gramlab.heads.referee import SoftmaxObjective, softmax, softmax_deviations
from gramlab.targets import relative_weights

DIGITS = 50


class Twin:
    """Exact heads on rows x (N, d) with K classes, in 50 digits, from the definition."""

    def __init__(self, x, row_weights=None):
        self.x = mp.matrix(np.asarray(x, dtype=float).tolist())
        weights = np.ones(len(x)) if row_weights is None else np.asarray(row_weights, float)
        total = mp.fsum(mp.mpf(float(w)) for w in weights)
        self.shares = [mp.mpf(float(w)) / total for w in weights]

    def probabilities(self, w):
        v = self.x * w
        for i in range(v.rows):
            top = max(v[i, :])
            for j in range(v.cols):
                v[i, j] = mp.exp(v[i, j] - top)
            total = mp.fsum(v[i, :])
            for j in range(v.cols):
                v[i, j] /= total
        return v

    def moment(self, p):
        """Xᵀ diag(ω) P (d, K)."""
        scaled = p.copy()
        for i, share in enumerate(self.shares):
            for j in range(p.cols):
                scaled[i, j] *= share
        return self.x.T * scaled

    def gradient(self, w, targets, decay):
        return self.moment(self.probabilities(w) - targets) + decay * w

    def solve(self, targets, decay):
        """Newton steps from W = 0, halved until the gradient falls."""
        d, k = self.x.cols, targets.cols
        decay, w = mp.mpf(decay), mp.zeros(d, k)
        g = self.gradient(w, targets, decay)
        while norm(g) > mp.mpf(10) ** (5 - DIGITS) * (1 + norm(w)):
            p = self.probabilities(w)
            hessian = decay * mp.eye(d * k)
            for i, share in enumerate(self.shares):
                for a in range(k):
                    for b in range(k):
                        curvature = share * p[i, a] * ((a == b) - p[i, b])
                        for q in range(d):
                            for r in range(d):
                                hessian[q * k + a, r * k + b] += (
                                    curvature * self.x[i, q] * self.x[i, r]
                                )
            flat = mp.matrix([g[q, a] for q in range(d) for a in range(k)])
            flat = mp.lu_solve(hessian, flat)
            step = mp.matrix([[flat[q * k + a] for a in range(k)] for q in range(d)])
            while norm(self.gradient(w - step, targets, decay)) >= norm(g):
                step /= 2
            w = w - step
            g = self.gradient(w, targets, decay)
        return w

    def rounds(self, given, decays, mixing=1.0, refine=lambda p: p, momentum=False):
        """Weights of the true iterates; every round is exact."""
        mixing, given, out = mp.mpf(mixing), exact(given), []
        targets = before = given
        for t, decay in enumerate(decays, 1):
            out.append(self.solve(targets, decay))
            made = refine(self.probabilities(out[-1]))
            targets = mixing * made + (1 - mixing) * given
            if momentum:
                targets, before = made + (made - before) * mp.mpf(t - 1) / (t + 2), made
        return out

    def entropy(self, w):
        """Mean entropy of the predictions, in nats."""
        p = self.probabilities(w)
        terms = [[-q * mp.log(q) if q else 0 for q in p[i, :]] for i in range(p.rows)]
        return mp.fsum(share * mp.fsum(row) for share, row in zip(self.shares, terms, strict=True))


def exact(a):
    return mp.matrix(np.asarray(a, dtype=float).tolist())


def norm(a):
    return mp.sqrt(mp.fsum(value**2 for value in a))


def top_two(p):
    """1/2 on the two largest of each row."""
    out = mp.zeros(p.rows, p.cols)
    for i in range(p.rows):
        for j in sorted(range(p.cols), key=lambda j: -p[i, j])[:2]:
            out[i, j] = mp.mpf(1) / 2
    return out


def features_of(x, k):
    return Features(np.asarray(x, dtype=float), np.arange(len(x)) % k, n_classes=k)


class Fixed:
    """A head that answers with the weights it is told, one after the other."""

    def __init__(self, weight_decay, *weights, row_weights=None):
        self.weight_decay, self.weights = weight_decay, list(weights)
        self.row_weights = row_weights

    def fit(self, features, targets, start=None):
        loss = SoftmaxObjective(features, targets.deviations, self.weight_decay)
        if self.row_weights is not None:
            shares = relative_weights(self.row_weights, features.n_samples)
            loss = SoftmaxObjective(features, targets.deviations, self.weight_decay, shares)
        w = np.asarray(self.weights.pop(0), dtype=float)
        v = features.x @ w
        return Fit(
            weights=w,
            deviations=softmax_deviations(v),
            probabilities=softmax(v),
            link=softmax,
            weight_decay=self.weight_decay,
            stats=SolveStats("given"),
            certify=loss.certificate,
            training_logits=lambda: v,
            loss=loss,
        )
