"""Labelled images through a frozen backbone into a folder, shard by shard, resumable."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice

import numpy as np

import gramlab
from gramlab import validation
from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.extract.backbone import Backbone
from gramlab.extract.images import ImageSplit, reason
from gramlab.files.shards import Broken, Manifest, Shard, writing

__all__ = ["extract_features"]

_COMPUTING = ("torch", "transformers", "pillow", "numpy")  # with gramlab, what features depend on


def extract_features(
    backbone: Backbone,
    splits: Mapping[str, ImageSplit],
    class_names: Sequence[str],
    out: str | os.PathLike[str],
    *,
    source: str = "images",
    batch_size: int = 32,
    shard_rows: int = 1024,
    dtype: str = "float32",
    strict: bool = False,
    superclasses: Sequence[int] | None = None,
    on_stage: Callable[[str, int], None] | None = None,
    on_images: Callable[[int], None] | None = None,
) -> Manifest:
    """Compute features shard by shard into a folder; resume where an earlier run stopped.

    Batches begin anew in every shard, so a resumed run computes the same batches and writes the
    same bytes as one that was never stopped (on the same machine).

    Parameters
    ----------
    splits
        "train" and perhaps "test".
    class_names, superclasses
        K names, and the superclass number of each if known.
    out
        The folder, see ``gramlab.files.shards``.
    source
        What the images are called, for the record.
    batch_size, shard_rows
        Images of a forward pass, and of a shard; a killed run loses at most one shard of work.
    dtype
        To store features as, "float16" or "float32".
    strict
        Raise at the first broken image instead of listing it in the manifest, which is returned.
    on_stage, on_images
        Called with a name and a number of images when a stage begins, and with the number of images
        done since the last call.

    Raises
    ------
    UnreadableSource
        If an image is broken and ``strict``, or none of the training images can be read.
    InvalidSetting, OutputError
        If settings are out of range, two class names are one in two spellings of Unicode, or the
        folder is in use, full, or holds something else.
    """
    batch_size = validation.check_integer("batch_size", batch_size, 1)
    shard_rows = validation.check_integer("shard_rows", shard_rows, 1)
    validation.check_different(class_names, "class_names")
    if dtype not in ("float16", "float32"):
        raise InvalidSetting(f"dtype must be one of float16, float32, got {dtype!r}")
    stage = on_stage or (lambda name, total: None)
    done = on_images or (lambda count: None)
    prints = {}
    for name, split in splits.items():
        stage(f"looking at the {name} images", len(split))
        prints[name] = split.fingerprint(lambda: done(1))
    plan = {
        **backbone.describe(),
        "data": {"source": source, "fingerprints": prints},
        "batch_size": batch_size,
        "stored_dtype": dtype,
        "versions": {"gramlab": gramlab.__version__, **{p: version(p) for p in _COMPUTING}},
    }
    sizes = {name: len(split) for name, split in splits.items()}
    shards = {"shard_rows": shard_rows, "superclasses": superclasses}
    with writing(out, plan, sizes, class_names, **shards) as writer:
        if not writer.finished:
            missing = writer.missing()
            stage("computing features", sum(shard.stop - shard.start for shard in missing))
            for shard in missing:
                split, broken = splits[shard.split], []
                pixels = _readable(backbone, split, shard, broken, strict, done)
                x, rows = _computed(backbone, pixels, batch_size)
                backbone.assert_frozen()  # before it is written: a shard is never computed again
                writer.put(shard, _stored(x, dtype), split.labels[rows], rows, broken)
        return writer.finish()


def _computed(
    backbone: Backbone, pixels: Iterator[tuple[int, np.ndarray]], batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and rows (n,) of the readable images of a shard."""
    rows: list[int] = []
    parts: list[np.ndarray] = []
    while batch := list(islice(pixels, batch_size)):
        sizes = {found.shape[2:] for _, found in batch}
        if len(sizes) > 1:
            raise InvalidSetting(
                f"the processor of {backbone.name!r} gives images of different sizes "
                f"({sorted(sizes)}), which make no batch; use --preprocessing paper"
            )
        rows += [row for row, _ in batch]
        parts.append(backbone.features(np.concatenate([found for _, found in batch])))
    if not parts:  # every image of the shard is broken
        parts = [np.empty((0, backbone.n_features), np.float32)]
    return np.concatenate(parts), np.array(rows, dtype=np.int64)


def _readable(
    backbone: Backbone,
    split: ImageSplit,
    shard: Shard,
    broken: list[Broken],
    strict: bool,
    done: Callable[[int], None],
) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of a shard, in order, with their preprocessed pixels (1, 3, h, w); adds the broken."""

    def read(row: int) -> np.ndarray | str:
        try:
            return backbone.pixels([split.decoded(row)])
        except MemoryError:
            raise
        except Exception as problem:  # OSError, SyntaxError, ValueError, struct.error, …
            return reason(problem)

    rows = range(shard.start, shard.stop)
    with ThreadPoolExecutor(4) as readers:  # Pillow works outside Python's lock
        futures = (readers.submit(read, row) for row in rows)
        ahead = deque(islice(futures, 16))
        for row in rows:
            found = ahead.popleft().result()
            ahead.extend(islice(futures, 1))
            if not isinstance(found, str):
                yield row, found
            elif strict:
                raise UnreadableSource(
                    f"image {split.names[row]!r} of {shard.split!r} is broken ({found}); mend or "
                    "remove it, or run without --strict, which lists it in the manifest"
                )
            else:
                broken.append(Broken(shard.split, row, str(split.names[row]), found))
            done(1)


def _stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """Features in the type of the folder, if they fit."""
    if x.size and np.abs(x).max() > np.finfo(dtype).max:
        raise InvalidSetting(
            f"a feature of size {np.abs(x).max():.3g} does not fit {dtype}; use --dtype float32"
        )
    return x.astype(dtype)
