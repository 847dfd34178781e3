"""The weights of a network: their hashes, and which of them a feature does not depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from gramlab.numerics.content import sha256, to_json

__all__ = ["digest", "hashes", "unread"]


def hashes(model: Any) -> dict[str, str]:
    """SHA-256 of every parameter and buffer, by name: of its type, shape and bytes."""
    import torch

    found = {}
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        content = hashlib.sha256(f"{array.dtype}:{tuple(array.shape)};".encode())
        content.update(array.reshape(-1).view(torch.uint8).numpy().data)
        found[name] = content.hexdigest()
    return found


def digest(found: Mapping[str, str], *, without: Collection[str] = ()) -> str:
    """One SHA-256 of the hashes of weights by name, less those of some names."""
    return sha256(to_json({name: own for name, own in found.items() if name not in without}))


def unread(
    model: Any,
    features: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    untrained: Collection[str],
) -> dict[str, set[str]]:
    """Names of the weights that each feature of a model does not depend on.

    ``features`` computes them by name, with the weights replaced that it is given. What is computed
    from NaN is NaN, so a feature that stays the same to the bit while NaN are in the place of a
    part of the model does not depend on it. The parts are the model's own attributes (of a
    transformer its embeddings, layers, norm and pooler) and the ``untrained`` weights together;
    weights that are no floating-point numbers count as read.
    """
    import torch

    weights = {n: w for n, w in model.state_dict().items() if w.is_floating_point()}
    parts: dict[str, list[str]] = {}
    for name in weights:
        parts.setdefault(name.split(".")[0], []).append(name)
    expected = features({})
    found: dict[str, set[str]] = {way: set() for way in expected}
    for names in [*parts.values(), [name for name in untrained if name in weights]]:
        # One number seen everywhere, which takes no memory.
        nan = {n: weights[n].new_full((), float("nan")).expand_as(weights[n]) for n in names}
        without = features(nan)
        for way, feature in expected.items():
            if torch.equal(feature, without[way]):
                found[way].update(names)
    return found
