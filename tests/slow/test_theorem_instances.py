"""Every theorem on 200 drawn instances, as ``gramlab theorems --instances 200`` walks them."""

from __future__ import annotations

import numpy as np
import pytest

from gramlab.theorems import registry

INSTANCES = 200


@pytest.mark.parametrize("name", sorted(registry))
def test_two_hundred_instances(name):
    theorem, rng = registry[name], np.random.default_rng(11)
    for number in range(INSTANCES):
        instance = theorem.draw(rng)
        for hypothesis in theorem.hypotheses:
            held = hypothesis.test and hypothesis.test(instance)
            assert held is None or held.holds, (number, hypothesis.name, held)
        holds = theorem.check(instance).holds
        assert holds or theorem.expected == "counterexample", (number, instance)
