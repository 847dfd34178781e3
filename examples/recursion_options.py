"""One student, six ways: plain, temperature, mixing, top two; theory, ridge and exact heads.

    python examples/recursion_options.py digits FEATURES.npz ... --out docs/generated

Round 2 at 50 % symmetric noise, at two weight decays per feature set: label recovery and test
accuracy of the linearized and the exact student, beside the teacher and the ridge head (which is
its own exact head). Writes recursion_options.csv, and from its lines recursion_options.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from kept_rows import KeptRows

import gramlab
from gramlab.files.whole import atomic_write, output_folder

OPTIONS = {
    "plain": {},
    "τ = 2": {"temperature": 2.0},
    "τ = 1/2": {"temperature": 0.5},
    "ξ = 0.5": {"mixing": 0.5},
    "ξ = 1.25": {"mixing": 1.25},
    "top two": {"refine": "top2"},
}
DECAYS = {"raw": (1e-3, 1e-2), "centred, unit norm": (1e-5, 1e-4)}


def scores(features, fit) -> dict[str, float | None]:
    test = None
    if features.test_x is not None:
        test = float(np.mean(fit.predict(features.test_x) == features.test_labels))
    return {"recovery": float(np.mean(fit.labels == features.labels)), "test": test}


def legal(targets: np.ndarray) -> np.ndarray:
    """Mixtures with ξ > 1 can leave the simplex; the exact head needs them on it."""
    kept = np.maximum(targets, 0.0)
    return kept / kept.sum(axis=1, keepdims=True)


def students(features, head, targets, teacher) -> dict[str, dict]:
    """Round 2 by option, from one teacher."""
    out = {"teacher": scores(features, teacher)}
    for name, option in OPTIONS.items():
        read = np.asarray(teacher.as_targets(option.get("temperature", 1.0)))
        if option.get("refine") == "top2":
            read = gramlab.partial_labels(read, 2, seed=0)
        xi = option.get("mixing", 1.0)
        mixed = xi * read + (1.0 - xi) * targets
        left = float(np.mean(mixed.min(axis=1) < -1e-12))
        if not teacher.linear:
            mixed = legal(mixed)
        fit = head.fit(features, mixed, start=teacher.weights)
        out[name] = scores(features, fit) | {"rows_off_simplex": left}
    return out


def cell(features, weight_decay: float) -> dict:
    k = features.n_classes
    noise = gramlab.corruption_matrix("symmetric", k, 0.5)
    given = gramlab.corrupt_labels(features.labels, noise, seed=0)
    targets = gramlab.one_hot(given.labels, k)
    found = {"weight_decay": weight_decay}
    for who, head in {
        "theory": gramlab.LinearizedHead(weight_decay),
        "exact": gramlab.SoftmaxHead(weight_decay, certified_share=0.99),
    }.items():
        found[who] = students(features, head, targets, head.fit(features, targets))
    ridge = gramlab.distill(gramlab.RidgeHead(weight_decay), features, targets, 2)
    found["ridge"] = {
        "teacher": scores(features, ridge[0]),
        "plain": scores(features, ridge[1]),
    }
    return found


def words(found: dict) -> str:
    test = "–" if found["test"] is None else f"{100 * found['test']:.1f}"
    return f"{100 * found['recovery']:.1f} / {test}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--out", default="out/recursion_options")
    options = parser.parse_args()
    folder = output_folder(options.out)
    names = ["teacher", *OPTIONS]
    lines = [
        "| features | λ | head | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    kept = KeptRows(folder / "recursion_options.csv", "features", "steps", "weight_decay")
    for source in options.sources:
        raw = gramlab.load_features(source)
        for steps, features in (("raw", raw), ("centred, unit norm", raw.centered().unit_norm())):
            for weight_decay in DECAYS[steps]:
                name = Path(source).stem.split("_")[0]
                if (name, steps, weight_decay) not in kept:
                    found = cell(features, weight_decay)
                    kept.add({"features": name, "steps": steps} | found)
                found = kept.rows[name, steps, weight_decay]
                for who in ("theory", "exact", "ridge"):
                    cells = [words(found[who][n]) if n in found[who] else "" for n in names]
                    lines.append(
                        f"| {name}, {steps} | {weight_decay:.0e} | {who} | "
                        + " | ".join(cells)
                        + " |"
                    )
                print("\n".join(lines[-3:]), flush=True)
    atomic_write(folder / "recursion_options.md", "\n".join(lines) + "\n")
    print(f"written: {folder}")


if __name__ == "__main__":
    main()
