"""The study's cells: what they hold, beside hand-made loops, twins and the theory's identities."""

from __future__ import annotations

import dataclasses
import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import gramlab
from gramlab import testing
from gramlab.comparison import certify_predictions
from gramlab.errors import InvalidSetting, NotConvergedWarning
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.heads.sgd import PublishedSgdHead, linear_layer_weights
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.study.cells import Cell, canonical_json
from gramlab.study.draws import Draw
from gramlab.study.engine import compute_cell
from gramlab.study.kinds import held_out_rows, mixing_weight, subsample
from gramlab.study.plan import log_grid, make_plan, study_superclasses
from gramlab.study.recipes import LINES, RECIPES, recipe_named
from gramlab.study.synthetic import block_model_features

TOLERANCE = 1e-8


def tiny(seed: int = 0, n: int = 60, d: int = 8, k: int = 4) -> Features:
    """Classes in two pairs that resemble each other, with a test split."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(2.0 * rng.standard_normal((k // 2, d)), 2, axis=0)
    centres += 0.7 * rng.standard_normal((k, d))
    labels, test = np.arange(n) % k, np.arange(24) % k
    return Features(
        centres[labels] + rng.standard_normal((n, d)),
        labels,
        test_x=centres[test] + rng.standard_normal((24, d)),
        test_labels=test,
        superclasses=np.arange(k) // 2,
    )


def planned(name: str = "fig6a", features: Features | None = None, **narrowed):
    lists = {"rates": [0.4], "seeds": [1], "methods": ["distill", "top2-ce", "mixture", "tuned"]}
    recipe = recipe_named(name).narrowed(**lists | narrowed)
    return make_plan(recipe, tiny() if features is None else features, "tiny", unit_norm=True)


def rows_of(plan, kind: str = "grid") -> list[dict]:
    cell = next(cell for cell in plan.cells if cell.kind == kind)
    return compute_cell(plan.features, cell)["rows"]


# ---- Rows ---------------------------------------------------------------------------------------


def by_hand(features: Features, seed: int, weight_decay: float, rounds: int) -> list[dict]:
    """Rounds and the certified partial-label student, spelled out."""
    k = features.n_classes
    noise = gramlab.corruption_matrix("symmetric", k, 0.4)
    drawn = gramlab.corrupt_labels(features.labels, noise, seed=seed)
    targets = gramlab.one_hot(drawn.labels, k)
    head = gramlab.SoftmaxHead(weight_decay, tolerance=TOLERANCE)
    exact = gramlab.distill(head, features, targets, rounds)
    theory = gramlab.distill(LinearizedHead(weight_decay), features, targets, rounds)
    two = gramlab.partial_labels(exact[0].probabilities, 2, seed=seed)
    student = head.fit(features, two, start=exact[0].weights)
    out = []
    for fit, linear in [*zip(exact, theory, strict=True), (student, None)]:
        own = gramlab.partial_labels(fit.probabilities, 2, seed=seed)
        found = {
            "train_accuracy": np.mean(fit.labels == drawn.labels),
            "label_recovery": np.mean(fit.labels == features.labels),
            "test_accuracy": np.mean(fit.predict(features.test_x) == features.test_labels),
            "top_two_coverage": np.mean(own[np.arange(len(own)), features.labels] > 0),
            "realized_rate": np.mean(drawn.labels != features.labels),
            "relative_gap": fit.certificate.relative_gap,
            "weights_bound": fit.certificate.global_bound,
        }
        if linear is not None:
            found["linearized_label_recovery"] = np.mean(linear.labels == features.labels)
            found["argmax_agreement"] = np.mean(linear.labels == fit.labels)
            found["max_abs_distance"] = np.abs(linear.probabilities - fit.probabilities).max()
        out.append(found)
    return out


def agree(rows: list[dict], wanted: list[dict]) -> bool:
    """Equal to the last bit, but for probabilities that were rounded on different ways."""
    close = 8.0 * UNIT_ROUNDOFF
    return all(
        abs(row[name] - value) <= (close if name == "max_abs_distance" else 0.0)
        for row, found in zip(rows, wanted, strict=True)
        for name, value in found.items()
    )


def test_rows_are_those_of_a_hand_made_loop():
    plan = planned(methods=["distill", "top2-ce"], rounds=3)
    rows = rows_of(plan)
    assert [(row["method"], row["round"]) for row in rows] == [
        *(("distill", t) for t in (1, 2, 3)),
        ("top2-ce", None),
    ]
    wanted = by_hand(plan.features, 1, plan.cells[0].weight_decay, 3)
    assert agree(rows, wanted)
    assert not agree(rows, by_hand(plan.features, 2, plan.cells[0].weight_decay, 3))
    assert not agree(rows, by_hand(plan.features, 1, 2 * plan.cells[0].weight_decay, 3))


def test_what_rows_certify_is_true_of_the_dense_optimum():
    plan = planned(methods=["distill", "top2-ce"], rounds=1, weight_decay=["0.01"])
    features, k = plan.features, plan.features.n_classes
    teacher, student = rows_of(plan)
    draw = Draw(features, plan.cells[0])
    x = features.as_float64()
    best = testing.dense_newton_head(x, np.asarray(draw.targets), 0.01)
    two = gramlab.partial_labels(softmax(x @ best, axis=1), 2, seed=1)
    for row, weights in ((teacher, best), (student, testing.dense_newton_head(x, two, 0.01))):
        recovery = np.mean((x @ weights).argmax(axis=1) == features.labels)
        assert row["certified_right"] <= recovery <= 1.0 - row["certified_wrong"]
        shares = [row[f"certified_{name}"] for name in ("right", "wrong", "undecided")]
        assert abs(sum(shares) - 1.0) <= 4.0 * UNIT_ROUNDOFF
        assert row["certified_undecided"] < 0.5  # or the bounds above say nothing
    assert k == 4


def test_the_local_bound_only_sharpens():
    recipe = recipe_named("fig6a").narrowed(rates=[0.4], seeds=[1], methods=["distill"])
    loose = make_plan(recipe, tiny(), "tiny")
    sharp = make_plan(recipe, tiny(), "tiny", local_bound=True)
    for wide, narrow in zip(rows_of(loose), rows_of(sharp), strict=True):
        assert narrow["weights_bound"] <= wide["weights_bound"]
        assert narrow["certified_undecided"] <= wide["certified_undecided"]
        assert narrow["relative_gap"] == wide["relative_gap"]


def test_theory_columns_are_the_closed_form():
    plan = planned(methods=["distill"], rounds=3)
    features = plan.features
    gram = features.as_float64() @ features.as_float64().T
    targets = np.asarray(Draw(features, plan.cells[0]).targets)
    for t, row in enumerate(rows_of(plan), 1):
        dense = testing.dense_closed_form(gram, targets, plan.cells[0].weight_decay, t)
        assert row["linearized_label_recovery"] == np.mean(dense.argmax(axis=1) == features.labels)
        assert row["recursion_error"] <= row["recursion_tolerance"]


# ---- The mixture --------------------------------------------------------------------------------


def test_the_mixing_weight_takes_the_own_label_out_of_the_block_model():
    features = block_model_features("block-model:per_class=20")
    k, lam = features.n_classes, 1e-4
    noise = gramlab.corruption_matrix("symmetric", k, 0.5)
    drawn = gramlab.corrupt_labels(features.labels, noise, seed=0)
    targets = gramlab.one_hot(drawn.labels, k)
    xi = mixing_weight(features, lam)
    head = LinearizedHead(lam)

    def spread(weight: float) -> float:
        """How far predictions of one class differ, whatever their given labels."""
        first = head.fit(features, targets)
        mixed = gramlab.mix_targets(first.probabilities, targets, weight)
        p = head.fit(features, mixed).probabilities.reshape(k, -1, k)
        return float(np.abs(p - p.mean(axis=1, keepdims=True)).max())

    n = features.n_samples
    assert spread(xi) <= 100.0 * n * UNIT_ROUNDOFF * xi
    assert spread(1.01 * xi) > 1e4 * n * UNIT_ROUNDOFF  # a weight that is off does not
    mu = k * n * lam
    assert abs(xi - (1.0 + (1.0 - 0.4) / mu)) <= 100.0 * n * UNIT_ROUNDOFF * xi


def test_a_mixture_outside_the_simplex_is_solved_and_certified_or_says_why_not():
    rows = [r for r in rows_of(planned(weight_decay=["0.05"])) if r["method"] == "mixture"]
    assert rows[0]["relative_gap"] <= TOLERANCE
    # Where float64 has too few digits for what is asked, the row says so and holds no score.
    recipe = recipe_named("fig6a").narrowed(
        rates=[0.4], seeds=[1], methods=["distill", "mixture"], rounds=1
    )
    plan = make_plan(recipe, tiny(), "tiny", tolerance=1e-40)
    with pytest.warns(NotConvergedWarning):  # of the teacher
        row = rows_of(plan)[-1]
    assert "no optimum within float64" in row["skipped"]
    assert row["mixing"] > 1.0
    assert row["label_recovery"] is None


# ---- The tuned head -----------------------------------------------------------------------------


def test_the_tuned_head_is_the_best_of_a_hand_made_search():
    plan = planned()
    features, k = plan.features, plan.features.n_classes
    cell = next(cell for cell in plan.cells if cell.kind == "tuned")
    rows = rows_of(plan, "tuned")
    draw = Draw(features, cell)
    held = held_out_rows(features.n_samples)
    x = features.as_float64()
    targets = gramlab.one_hot(draw.given.labels, k)
    for row, judged_by in zip(rows, (draw.given.labels, features.labels), strict=True):
        scores = {}
        for value in cell.options["grid"]:
            fit = gramlab.SoftmaxHead(value).fit(x[~held], targets[~held])
            scores[value] = np.mean(fit.predict(x[held]) == judged_by[held])
        best = max(scores.values())
        assert row["weight_decay"] == max(v for v, score in scores.items() if score == best)
        assert row["held_out_accuracy"] == best
        final = gramlab.SoftmaxHead(row["weight_decay"]).fit(features, targets)
        assert row["test_accuracy"] == np.mean(
            final.predict(features.test_x) == features.test_labels
        )
    assert [row["selected_on"] for row in rows] == ["noisy validation", "clean validation"]


def test_tuned_cells_are_shared_by_all_weight_decays():
    plan = planned(weight_decay=["small", "base", "large"])
    assert [cell.kind for cell in plan.cells] == ["grid", "grid", "grid", "tuned"]


def test_held_out_rows_are_a_fifth_and_no_function_of_the_labels():
    for n in (7, 60, 1437):
        held = held_out_rows(n)
        assert held.sum() == n // 5
        assert np.array_equal(held, held_out_rows(n))
    # Their places look drawn: no run of a fifth of the rows holds them all.
    places = np.flatnonzero(held_out_rows(1437))
    assert places.max() - places.min() > 1300


def test_the_grid_of_weight_decays_scales_with_the_features():
    features = tiny()
    larger = Features(4.0 * np.asarray(features.x), features.labels)
    for one, other in zip(log_grid(features, (-6, -3)), log_grid(larger, (-6, -3)), strict=True):
        # Both are rounded to three digits.
        assert abs(other / one - 16.0) <= 16.0 * 2.0 * 5e-3
    unit = features.unit_norm()
    assert log_grid(unit, (-4,)) == (1e-4,)


# ---- Ablation and published training ------------------------------------------------------------


def test_ablation_has_every_combination_and_the_start_does_not_move_an_optimum():
    plan = planned("ablation", weight_decay=["0.01"])
    rows = rows_of(plan, "ablation")
    made = {(r["targets"], r["loss"], r["start"]): r for r in rows}
    assert len(rows) == len(made) == 8
    for targets in ("given", "top2"):
        one, other = (made[targets, "ce", start] for start in ("zero", "teacher"))
        undecided = one["certified_undecided"] + other["certified_undecided"]
        assert abs(one["label_recovery"] - other["label_recovery"]) <= undecided
        for start in ("zero", "teacher"):
            local = made[targets, "gce", start]
            assert local["relative_gap"] is None
            assert local["certified_right"] is None
            assert 0.0 <= local["relative_gradient_norm"] <= 1e-3
    same = planned(weight_decay=["0.01"], methods=["distill", "top2-ce"], rounds=1)
    teacher, student = rows_of(same)
    for name in ("test_accuracy", "relative_gap", "weights_bound"):
        assert made["given", "ce", "zero"][name] == teacher[name]
        assert made["top2", "ce", "teacher"][name] == student[name]


def test_the_robust_student_is_the_head_by_hand():
    plan = planned(methods=["distill", "top2-gce"], rounds=1)
    row = rows_of(plan)[-1]
    draw = Draw(plan.features, plan.cells[0])
    teacher = draw.head().fit(draw.features, draw.targets)
    two = gramlab.partial_labels(teacher.probabilities, 2, seed=1)
    head = GeneralizedCrossEntropyHead(teacher.weight_decay, q=0.7)
    fit = head.fit(draw.features, two, start=teacher.weights)
    assert row["method"] == "top2-gce"
    assert row["label_recovery"] == np.mean(fit.labels == draw.features.labels)
    assert row["relative_gradient_norm"] == fit.relative_gradient_norm
    cold = head.fit(draw.features, two)
    assert row["relative_gradient_norm"] != cold.relative_gradient_norm


def test_published_rows_are_the_training_by_hand_and_say_what_they_select_on():
    recipe = recipe_named("published").narrowed(rates=[0.4], seeds=[1], rounds=2)
    plan = make_plan(recipe, tiny(), "tiny", epochs=5)
    rows = rows_of(plan, "published")
    assert [(r["stopping"], r["round"], r["loss"]) for r in rows] == [
        (stopping, *what)
        for stopping in ("last", "best on test")
        for what in ((1, "ce"), (2, "ce"), (None, "gce"))
    ]
    draw = Draw(plan.features, plan.cells[0])
    start = linear_layer_weights(8, 4, seed=1)
    training = {"learning_rate": 0.01, "epochs": 5, "seed": 1}
    watched = (plan.features.test_x, plan.features.test_labels)
    head = PublishedSgdHead(5e-4, **training)
    first = head.fit(plan.features, draw.targets, start, monitor=watched)
    student = head.fit(plan.features, first.best.as_targets(), start, monitor=watched)
    for row, fit in (
        (rows[0], first),
        (rows[3], first.best),
        (rows[4], student.best),
    ):
        assert row["test_accuracy"] == draw.test_accuracy(fit)
        assert row["relative_gradient_norm"] == fit.relative_gradient_norm
    assert {row["selected_on"] for row in rows[:3]} == {None}
    assert {row["selected_on"] for row in rows[3:]} == {"test"}
    assert rows[3]["test_accuracy"] == max(first.accuracy_by_epoch)
    # A certificate says how far from the optimum the training ended.
    optimum = gramlab.SoftmaxHead(5e-4, tolerance=1e-12).fit(plan.features, draw.targets)
    off = np.linalg.norm(first.weights - optimum.weights)
    assert off <= rows[0]["weights_bound"] + optimum.certificate.global_bound
    assert off > optimum.certificate.global_bound


# ---- Structure, approximation -------------------------------------------------------------------


def test_structure_of_the_block_model_is_the_block_model():
    features = block_model_features("block-model:per_class=25,between=0.05")
    recipe = recipe_named("block").narrowed(rates=[0.5], rounds=2, weight_decay=["1e-4"])
    plan = make_plan(recipe, features, "block-model")
    close = 1e3 * features.n_samples * UNIT_ROUNDOFF
    for row in rows_of(plan, "structure"):
        for name, wanted in (("within", 0.4), ("superclass", 0.1), ("between", 0.05)):
            assert abs(row[name] - wanted) <= close
        for name in ("all_ones", "superclasses", "classes", "inside"):
            found, wanted = row[f"eigenvalue_{name}"], row[f"eigenvalue_{name}_block"]
            assert abs(found - wanted) <= close * row["largest_eigenvalue"]
        assert row["seen_distance"] <= row["promised_distance"] + close
        assert abs(row["gap"] - 25 * 0.3) <= row["gap_error_at_most"] + close


def test_new_rows_of_the_block_model_have_its_correlations():
    features = block_model_features("block-model:per_class=5,between=0.05")
    groups = features.superclasses
    assert features.test_x is not None
    assert groups is not None
    products = features.test_x @ np.asarray(features.x).T
    near = groups[:, None] == groups[features.labels][None, :]
    same = np.arange(4)[:, None] == features.labels[None, :]
    wanted = np.where(same, 0.4, np.where(near, 0.1, 0.05))
    assert np.abs(products - wanted).max() <= 16.0 * UNIT_ROUNDOFF
    assert np.abs((features.test_x**2).sum(axis=1) - 1.0).max() <= 16.0 * UNIT_ROUNDOFF


def test_approximation_errors_obey_the_remainder_bound_in_round_one():
    recipe = recipe_named("approximation").narrowed(rates=[0.5], seeds=[0], rounds=2)
    plan = make_plan(recipe, tiny(n=200), "tiny", unit_norm=True)
    assert len(plan.cells) == 4 * 6
    for cell in plan.cells[::5]:
        rows = compute_cell(plan.features, cell)["rows"]
        first = rows[0]
        assert first["n_samples"] == round(first["share"] * 200)
        # E_1 = (I + G/μ)^{-1} R_1, so its Frobenius norm is at most that of R_1: by rows osc²/4.
        slack = first["weights_bound"] * np.sqrt(2.0) + 1e3 * UNIT_ROUNDOFF
        assert first["rms_distance"] <= first["remainder_bound"] + slack
        assert first["rms_distance"] <= first["max_abs_distance"] * np.sqrt(4)


def test_subsamples_are_nested():
    features = tiny(n=200)
    half, quarter = subsample(features, 0.5), subsample(features, 0.25)
    assert (half.n_samples, quarter.n_samples) == (100, 50)
    rows = {row.tobytes() for row in np.asarray(half.x)}
    assert all(row.tobytes() in rows for row in np.asarray(quarter.x))
    assert subsample(features, 1.0) is features


# ---- Signed targets -----------------------------------------------------------------------------


def test_signed_targets_are_solved_within_their_certificates():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((30, 5))
    targets = rng.dirichlet(np.ones(3), 30) * 3.0 - 2.0 * np.eye(3)[np.arange(30) % 3]
    assert (targets < 0.0).any()
    with pytest.raises(gramlab.GramlabError, match="nonnegative"):
        gramlab.SoftmaxHead(0.05).fit(x, targets)
    fit = gramlab.SoftmaxHead(0.05, tolerance=1e-12, signed_targets=True).fit(x, targets)
    best = testing.dense_newton_head(x, targets, 0.05)
    left = np.linalg.norm(testing.dense_gradient(x, targets, 0.05, best)) / 0.05
    assert np.linalg.norm(fit.weights - best) <= fit.certificate.weights_bound + left
    assert fit.certificate.relative_gap <= 1e-12
    off = np.linalg.norm(fit.weights - testing.dense_newton_head(x, np.abs(targets), 0.05))
    assert off > fit.certificate.weights_bound + left  # clipped targets are another problem


# ---- Keys ---------------------------------------------------------------------------------------

NUMBERS = st.floats(1e-9, 1.0, exclude_max=True) | st.sampled_from([0.0, 0.1, 0.3])
OPTIONS = st.dictionaries(
    st.sampled_from(["rounds", "q", "tolerance", "superclasses", "methods"]),
    st.none() | st.integers(0, 9) | NUMBERS | st.lists(st.integers(0, 3)) | st.text(max_size=3),
)
CELLS = st.builds(
    Cell,
    st.sampled_from(["grid", "tuned", "ablation"]),
    st.sampled_from(["symmetric", "asymmetric"]),
    NUMBERS,
    st.integers(0, 2**64 - 1),
    st.none() | NUMBERS,
    OPTIONS,
)
VERSIONS = {"jax": "0.10.2"}


def one_key_for_one_content(a: Cell, b: Cell) -> bool:
    same = canonical_json(a.content()) == canonical_json(b.content())
    return (a.key("f", VERSIONS) == b.key("f", VERSIONS)) == same


@settings(deadline=None)
@given(CELLS, CELLS)
def test_two_settings_never_share_a_key(a, b):
    assert one_key_for_one_content(a, b)
    assert one_key_for_one_content(a, dataclasses.replace(a, name="other"))
    # Neighbours: one field from the other cell at a time.
    for field in ("kind", "noise", "rate", "seed", "weight_decay", "options"):
        assert one_key_for_one_content(a, dataclasses.replace(a, **{field: getattr(b, field)}))


@settings(deadline=None)
@given(CELLS)
def test_the_key_depends_on_features_versions_and_what_a_cell_means(cell):
    with mock.patch("gramlab.study.cells.FORMAT", 1):
        earlier = cell.key("f", VERSIONS)
    keys = {
        earlier,  # of the engine before
        cell.key("f", VERSIONS),
        cell.key("g", VERSIONS),
        cell.key("f", {"jax": "0.10.3"}),
        cell.key("f", VERSIONS | {"numpy": "2.4"}),
    }
    assert len(keys) == 5
    again = Cell(**{f.name: getattr(cell, f.name) for f in dataclasses.fields(cell)})
    assert again.key("f", VERSIONS) == cell.key("f", VERSIONS)


def test_a_key_that_forgets_a_setting_is_caught(monkeypatch):
    a = Cell("grid", "symmetric", 0.5, 0, 1e-4, {"rounds": 5})
    others = [dataclasses.replace(a, weight_decay=2e-4), dataclasses.replace(a, rate=0.6)]
    assert all(one_key_for_one_content(a, b) for b in others)

    def forgetful(cell, fingerprint, versions):
        kept = {name: v for name, v in cell.content().items() if name != "weight_decay"}
        return canonical_json([fingerprint, kept, versions])

    monkeypatch.setattr(Cell, "key", forgetful)
    assert not one_key_for_one_content(a, others[0])
    assert one_key_for_one_content(a, others[1])


def test_cells_of_all_recipes_have_keys_of_their_own():
    features = tiny()
    for name in RECIPES:
        plan = make_plan(RECIPES[name], features, "tiny")
        keys = [cell.key("f", VERSIONS) for cell in plan.cells]
        assert len(set(keys)) == len(keys), name
        assert all(json.loads(canonical_json(cell.content())) for cell in plan.cells)


def test_recipes_share_cells_where_they_ask_for_the_same():
    features = tiny()
    plans = {name: make_plan(RECIPES[name], features, "tiny") for name in ("tables", "fig2")}
    keys = {name: {c.key("f", VERSIONS) for c in plan.cells} for name, plan in plans.items()}
    assert keys["fig2"] < keys["tables"]


# ---- Recipes and refusals -----------------------------------------------------------------------


def test_the_papers_grid_is_what_the_recipes_say():
    features = tiny()
    plan = make_plan(RECIPES["fig7c"], features, "tiny")
    grid = [cell for cell in plan.cells if cell.kind == "grid"]
    assert {cell.rate for cell in grid} == {0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9}
    assert {cell.seed for cell in grid} == {0, 1, 2}
    assert {cell.weight_decay for cell in grid} == {2e-4}
    assert {cell.noise for cell in grid} == {"asymmetric"}
    assert {cell.options["rounds"] for cell in grid} == {5}
    other = make_plan(RECIPES["fig8a"], features, "tiny", line="cifar-100")
    assert {cell.weight_decay for cell in other.cells if cell.kind == "grid"} == {1e-4}
    assert LINES["cifar-100"].learning_rate == 0.05


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"rates": [0.5, 1.0]}, "rates must be at least 0 and less than 1, got 1.0"),
        ({"rates": [float("nan")]}, "rates must be at least 0 and less than 1, got nan"),
        ({"rates": []}, "rates must hold at least one value"),
        ({"rates": [0.5, 0.5]}, "rates must hold different values, got 0.5 twice"),
        ({"seeds": [-1]}, "seeds must be an integer of at least 0"),
        ({"rounds": 0}, "rounds must be an integer of at least 1"),
        ({"noise": ["white"]}, "noise must be of symmetric, asymmetric, superclass, pair-flip"),
        ({"methods": ["tuned"]}, "methods must include distill"),
        ({"methods": ["distill", "magic"]}, "methods must be of distill, top2-ce"),
    ],
)
def test_bad_lists_are_refused(lists, words):
    with pytest.raises(InvalidSetting, match=words):
        RECIPES["fig2"].narrowed(**lists)


def test_an_unknown_recipe_is_refused_and_the_known_ones_named():
    with pytest.raises(InvalidSetting, match=r"fig2, fig6a.*published, got 'fig3'"):
        recipe_named("fig3")


@pytest.mark.parametrize("value", ["huge", "-1", "0", "nan"])
def test_bad_weight_decays_are_refused(value):
    recipe = RECIPES["fig6a"].narrowed(weight_decay=[value])
    with pytest.raises(InvalidSetting, match="weight_decay must be"):
        make_plan(recipe, tiny(), "tiny")


def test_superclasses_are_found_given_or_refused():
    features = tiny()
    groups, origin = study_superclasses(features, "fig2")
    assert (groups.tolist(), origin) == ([0, 0, 1, 1], "given")
    bare = Features(features.x, features.labels)
    groups, origin = study_superclasses(bare, "fig2")
    assert origin == "found"
    plan = make_plan(RECIPES["fig2"], bare, "tiny")
    assert plan.cells[0].options["superclasses"] == groups.tolist()
    assert plan.identity()["superclasses"] == "found"
    # Preparation does not change what is found.
    other = make_plan(RECIPES["fig2"], bare, "tiny", center=True, unit_norm=True)
    assert other.cells[0].options["superclasses"] == groups.tolist()
    alone = Features(features.x, features.labels, superclasses=np.arange(4))
    with pytest.raises(InvalidSetting, match="recipe fig2 needs superclasses of two or more"):
        make_plan(RECIPES["fig2"], alone, "tiny")
    make_plan(RECIPES["fig6a"], alone, "tiny")  # which does not need them


def test_classes_that_are_equally_far_have_no_superclasses():
    labels = np.arange(40) % 4
    features = Features(np.eye(4)[labels], labels)
    with pytest.raises(InvalidSetting, match="found ones hold one class each"):
        make_plan(RECIPES["fig2"], features, "simplex")


def test_published_training_needs_a_test_split():
    features = tiny()
    with pytest.raises(InvalidSetting, match="needs features with a test split"):
        make_plan(RECIPES["published"], Features(features.x, features.labels), "tiny")


def test_certificates_come_without_the_newton_decrement():
    plan = planned(methods=["distill"], rounds=1)
    draw = Draw(plan.features, plan.cells[0])
    fit = draw.certified(draw.head().fit(draw.features, draw.targets))
    assert fit.certificate.weights_bound == fit.certificate.global_bound
    certified, _ = certify_predictions(fit, draw.features, draw.given.true_labels)
    assert certified.undecided <= 1.0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("block-model:classes=3.5", "classes must be a whole number"),
        ("block-model:within=x", "within must be a number"),
        ("block-model:colour=1", "takes classes="),
        ("block-model:size=3", "superclass_size must divide"),
    ],
)
def test_bad_block_models_are_refused(source, words):
    with pytest.raises(InvalidSetting, match=words):
        block_model_features(source)
