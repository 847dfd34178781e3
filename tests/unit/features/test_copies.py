"""Copies of rows: groups are those of all pairs, whatever the rows; few pairs are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from gramlab.errors import InvalidFeatures, InvalidSetting
from gramlab.features import Features
from gramlab.features.copies import copies_of, find_copies


def slow_groups(x: np.ndarray, radius: float) -> np.ndarray:
    """All pairs: equal rows, and rows less their mean whose cosine is at least 1 - radius."""
    rows = x.astype(np.float64)
    equal = (rows[:, None] == rows[None]).all(axis=2)
    rest = rows - rows.mean(axis=0)
    norms = np.linalg.norm(rest, axis=1)
    tiny = norms <= 1e-12 * norms.max()
    unit = rest / np.where(tiny, 1.0, norms)[:, None]
    # Of unit vectors near each other the difference says more than the product.
    distance = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    near = (distance**2 <= 2.0 * radius) & ~tiny[:, None] & ~tiny[None]
    number = connected_components(equal | (near & (radius > 0.0)), directed=False)[1]
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def mixed(seed: int, n: int = 60, d: int = 5) -> np.ndarray:
    """Rows with exact and near copies, opposite and scaled ones, zeros of both signs."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[10:20] = x[:10]
    x[20:30] = x[:10] + 1e-5 * rng.standard_normal((10, d))
    x[30] = -x[31]
    x[32] = 0.0
    x[33] = -0.0
    return x[rng.permutation(n)]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("radius", [0.0, 1e-9, 1e-6, 1e-2])
@pytest.mark.parametrize("d", [1, 2, 5, 40])
def test_groups_are_those_of_all_pairs(seed, radius, d):
    x = mixed(seed, d=d)
    found, wanted = find_copies(x, radius), slow_groups(x, radius)
    assert np.array_equal(found.group, wanted)
    sizes = np.bincount(wanted)
    assert np.array_equal(found.sizes, sizes[wanted])
    assert found.groups == (sizes > 1).sum()
    assert found.exact + found.near == (found.sizes > 1).sum()
    _, number, counts = np.unique(x + 0.0, axis=0, return_inverse=True, return_counts=True)
    assert found.exact == (counts[number.ravel()] > 1).sum()


def test_copies_of_copies_are_copies():
    """A chain whose ends are apart; cut in the middle it is two groups."""
    angle = 1e-3 * np.arange(20)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.concatenate([x, -x])  # of mean 0
    chain = find_copies(x)
    assert chain.group.tolist() == [0] * 20 + [1] * 20
    cut = find_copies(np.delete(x, [10, 11], axis=0))
    assert cut.group[:18].tolist() == [0] * 10 + [1] * 8
    assert find_copies(x, 1e-7).groups == 0


@pytest.mark.parametrize("scale", [1e-180, 1.0, 1e150])
def test_scale_shift_and_order_change_nothing(scale):
    x = np.random.default_rng(3).standard_normal((80, 6))
    x[40:60] = x[:20]
    x[60:70] = x[:10] + 1e-5
    same = find_copies(x).group
    assert same.max() == 49
    assert np.array_equal(find_copies(scale * x).group, same)
    assert np.array_equal(find_copies(scale * (x + 3.0)).group, same)
    order = np.random.default_rng(4).permutation(80)
    there = find_copies(x[order]).group
    assert np.array_equal(there[:, None] == there, same[order][:, None] == same[order])


def test_what_all_rows_share_makes_none_alike():
    """A large mean, or a constant column: the cosines of the rows themselves are all near 1."""
    x = np.random.default_rng(5).standard_normal((50, 8))
    lifted = np.concatenate([x + 1e4, np.full((50, 1), 1e6)], axis=1)
    assert find_copies(lifted).groups == 0
    lifted[7] = lifted[3]
    assert find_copies(lifted).as_dict() == {"exact": 2, "near": 0, "groups": 1}


def test_rows_in_float32_are_near_copies_of_what_they_were():
    features = Features(np.random.default_rng(6).standard_normal((40, 9)), np.arange(40) % 3)
    narrow = features.x.astype(np.float32)
    both = Features(np.concatenate([features.x, narrow]), np.arange(80) % 3)
    found = copies_of(both.prepared(center=True, unit_norm=True))
    assert np.array_equal(found.group, np.tile(np.arange(40), 2))
    assert found.as_dict() == {"exact": 0, "near": 80, "groups": 40}
    assert copies_of(both, 0.0).groups == 0
    assert (
        found.format_copies() == "80 rows are copies of others (80 of them nearly), in 40 groups."
    )
    assert copies_of(both, 0.0).format_copies() == ""


def test_more_pairs_than_are_held_at_once():
    """1,100 near copies of one row: more than a million pairs, in several parts."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((1500, 4))
    x[400:] = x[0] + 1e-6 * rng.standard_normal((1100, 4))
    found = find_copies(x)
    assert np.bincount(found.group).max() == 1101
    assert len(np.unique(found.group)) == 400


def test_found_once_and_mapped_rows_give_the_same(tmp_path):
    x = mixed(8)
    np.save(tmp_path / "x.npy", x)
    mapped = Features(np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(60) % 2)
    assert copies_of(mapped) is copies_of(mapped.replaced(labels=np.arange(60) % 2))
    assert np.array_equal(copies_of(mapped).group, find_copies(x).group)


def test_copies_with_one_label_were_labelled_once():
    x = np.repeat(np.random.default_rng(9).standard_normal((4, 3)), 3, axis=0)
    labels = np.array([1, 1, 1, 0, 2, 0, 2, 2, 2, 0, 0, 1])
    first = find_copies(x).labelled_once(labels)
    assert first.tolist() == [0, 0, 0, 3, 4, 5, 6, 6, 6, 9, 10, 11]


def test_bad_input_is_refused():
    with pytest.raises(InvalidSetting, match="copy_radius must be at least 0 and less than 1"):
        find_copies(np.eye(3), 1.0)
    with pytest.raises(InvalidFeatures):
        find_copies(np.full((2, 2), np.nan))
