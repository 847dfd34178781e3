"""Four rounds of self-distillation on digits with half of the labels corrupted.

The closed form and the exact head go through the same rounds and are compared. Run it with
``python examples/quickstart.py``.
"""

import gramlab

WEIGHT_DECAY = 1e-4
ROUNDS = 4


def main() -> None:
    features = gramlab.load_features("digits").centered().unit_norm()
    noise = gramlab.corruption_matrix("symmetric", features.n_classes, 0.5)
    given = gramlab.corrupt_labels(features.labels, noise, seed=0)
    targets = gramlab.one_hot(given.labels, features.n_classes)

    theory = gramlab.distill(gramlab.LinearizedHead(WEIGHT_DECAY), features, targets, ROUNDS)
    exact = gramlab.distill(gramlab.SoftmaxHead(WEIGHT_DECAY), features, targets, ROUNDS)
    comparison = gramlab.compare(theory, exact, truth=features.labels)

    print(f"{given.realized_rate:.1%} of {features.n_samples} labels are wrong")
    print("true labels recovered, how many of them certified, and theory's largest distance")
    print("round     theory      exact      certified     distance     relative gap")
    for linear_fit, exact_fit, row in zip(theory, exact, comparison, strict=True):
        by_theory = (linear_fit.labels == features.labels).mean()
        by_exact = (exact_fit.labels == features.labels).mean()
        gap = exact_fit.certificate.relative_gap
        print(
            f"{row.round:5d}{by_theory:11.1%}{by_exact:11.1%}"
            f"{row.certified.right:15.1%}{row.max_abs:13.3f}{gap:17.1e}"
        )
        assert gap <= 1e-8, "the exact head did not reach its tolerance"
        assert row.certified.right <= by_exact, "certified right must be right"
        assert row.certified.wrong <= (exact_fit.labels != features.labels).mean()
        assert by_exact > 1.0 - given.realized_rate, "distillation should repair labels here"


if __name__ == "__main__":
    main()
