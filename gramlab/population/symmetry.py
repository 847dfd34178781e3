"""Renamings of the classes that leave a corruption matrix and the superclasses as they are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

__all__ = ["class_relation", "regular_symmetry"]


def class_relation(superclasses: np.ndarray) -> np.ndarray:
    """0 same class, 1 same superclass, 2 other superclass, for each pair of classes (K, K)."""
    same = superclasses[:, None] == superclasses[None, :]
    relation = np.where(same, 1, 2)
    np.fill_diagonal(relation, 0)
    return relation


def regular_symmetry(codes: np.ndarray, superclasses: np.ndarray) -> np.ndarray | None:
    """Renamings of the classes, one for each image of class 0, that form a group; None if unknown.

    Parameters
    ----------
    codes : (K, K), int
        Different for different entries of C.
    superclasses : (K,)
        Superclass number of each class, in order and of equal size.

    Returns
    -------
    renamings : (K, K), int, or None
        Row k is a permutation g with g[0] = k that leaves C and the superclasses what they are. The
        rows are a group. Shifts inside and between superclasses are tried first, then, of up to
        24 classes, what a bounded search finds; a symmetry that it misses costs time and no
        correctness.
    """
    k = len(codes)
    colour = codes * 3 + class_relation(superclasses)
    groups = int(superclasses[-1]) + 1
    size = k // groups
    s, a = np.divmod(np.arange(k), size)
    shifts = (s[:, None] + s) % groups * size + (a[:, None] + a) % size
    generators = {size % k, 1 % size}  # one superclass on, one class on
    if all(np.array_equal(colour[np.ix_(shifts[g], shifts[g])], colour) for g in generators):
        return shifts
    group = {tuple(range(k))}
    for image in range(1, k if k <= 24 else 1):
        if any(g[0] == image for g in group):
            continue
        for renaming in islice(_renamings(colour, image), 64):
            larger = _generated(group, renaming)
            if larger is not None:
                group = larger
                break
        else:
            return None
    return np.array(sorted(group)) if len(group) == k else None


def _renamings(colour: np.ndarray, image: int) -> Iterator[tuple[int, ...]]:
    """Permutations g with g[0] = image and colour[g_i, g_j] = colour[i, j], found by trial."""
    k, steps = len(colour), 0
    diagonal = colour.diagonal()
    partial = [[image]] if diagonal[image] == diagonal[0] else []
    while partial and steps < 20_000:
        g = partial.pop()
        i = len(g)
        if i == k:
            yield tuple(g)
            continue
        choices = []
        for shift in range(k):
            j = (image + i + shift) % k
            steps += 1
            if j in g or diagonal[j] != diagonal[i]:
                continue
            if np.array_equal(colour[j, g], colour[i, :i]) and np.array_equal(
                colour[g, j], colour[:i, i]
            ):
                choices.append([*g, j])
        partial.extend(reversed(choices))


def _generated(
    group: set[tuple[int, ...]], renaming: tuple[int, ...]
) -> set[tuple[int, ...]] | None:
    """The group with one more renaming, if no two of its elements agree on class 0; else None."""
    k = len(renaming)
    found, waiting = set(group), [renaming]
    while waiting:
        g = waiting.pop()
        if g in found:
            continue
        found.add(g)
        if len(found) > k:
            return None
        for h in tuple(found):
            waiting.append(tuple(g[x] for x in h))
            waiting.append(tuple(h[x] for x in g))
    return found if len({g[0] for g in found}) == len(found) else None
