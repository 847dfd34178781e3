"""Statements in LaTeX, read as text."""

from __future__ import annotations

import pytest

from gramlab.theorems import registry
from gramlab.theorems.notation import as_unicode


@pytest.mark.parametrize("name", sorted(registry))
def test_nothing_of_latex_is_left(name):
    theorem = registry[name]
    for latex in (theorem.statement, *(h.statement for h in theorem.hypotheses)):
        text = as_unicode(latex)
        assert "\\" not in text
        assert text.isprintable()
        assert text == text.strip()


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\lambda > 0,\ \mu = K N \lambda", "λ > 0, μ = K N λ"),
        (r"h(G)^t D", "h(G)ᵗ D"),
        (r"X w^{(t)} = h(G)^t y", "X w⁽ᵗ⁾ = h(G)ᵗ y"),
        (r"p_A^t \le p_{B}^{-t}", "p_Aᵗ ≤ p_B⁻ᵗ"),
        (r"C_{kl} < C_{kq}", "Cₖₗ < C_kq"),
        (r"S_{\lambda/\alpha}\, y", "S_(λ/α) y"),
        (r"\frac{1}{2\lambda} \frac{s}{s + N\lambda}", "1/(2λ) s/(s + Nλ)"),
        (r"\frac{\lVert g \rVert_F^2}{\lambda}", "‖g‖_F²/λ"),
        (r"\tfrac1K \sqrt{n} \sqrt{2n}", "1/K √n √(2n)"),
        (r"\tilde C_{kl}, \bar C_s", "C̃ₖₗ, C̄ₛ"),
        (r"\text{some } j \notin \{k, l^*\}", "some j ∉ {k, l*}"),
        (r"a \quad b \qquad c", "a  b  c"),
        (r"\operatorname{argmax}_l\, C_{kl}", "argmaxₗ Cₖₗ"),
        (r"v \in \mathbb{R}^K", "v ∈ ℝᴷ"),
        (r"n-1", "n−1"),
        (r"\unheardof{x}", r"\unheardofx"),
        ("x^", "x"),
    ],
)
def test_what_latex_says(latex, text):
    assert as_unicode(latex) == text
