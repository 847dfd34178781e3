"""What the theorems on temperature share: hypotheses, and chains of dense heads."""

import numpy as np

from gramlab.theorems._heads import DenseHead, draw_problem
from gramlab.theorems._hypotheses import above, all_of, equals, positive_decay
from gramlab.theorems.form import Check, Hypothesis, Instance, equal


def draw(rng: np.random.Generator) -> Instance:
    """Data, a temperature away from 1, and one or two rounds."""
    problem = draw_problem(rng, 8, 4, 4, decay=(-2, 0), spread=0.3)
    temperature = float(np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.4)))
    rounds = int(rng.integers(1, 3))
    return {**problem, "temperature": temperature, "read_at": temperature, "rounds": rounds}


def compare(instance: Instance, factor: float, plain_decay: float, read_at: float) -> Check:
    """Rounds at the temperature, with a factor of the loss, against rounds at 1 and another λ."""

    def chain(decay: float, temperature: float, factor: float, read_at: float) -> np.ndarray:
        targets = instance["targets"]
        for _ in range(instance["rounds"]):
            head = DenseHead(instance["x"], targets, decay, temperature, factor)
            reader = DenseHead(instance["x"], targets, decay, read_at)
            targets = reader.probabilities(head.minimum())
        return targets

    tempered = chain(instance["weight_decay"], instance["temperature"], factor, read_at)
    # Both come from Newton solutions, each good to about 1e-13/λ.
    return equal(tempered, chain(plain_decay, 1.0, 1.0, 1.0), 1e-9)


READ_AT_TAU = Hypothesis(
    "read at τ",
    r"P = \operatorname{softmax}(XW/\tau) \text{ is passed on}",
    lambda rng: {**draw(rng), "read_at": 1.0},
    equals("read_at", "temperature of the reading", lambda i: i["temperature"]),
)
POSITIVE = Hypothesis(
    "weight decay",
    r"\lambda > 0,\ \tau > 0",
    test=all_of(positive_decay, above("temperature", "τ")),
)
