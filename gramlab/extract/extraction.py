"""Labelled images through a frozen backbone into a folder, shard by shard, resumable."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gramlab import validation
from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.extract.backbone import Backbone, versions
from gramlab.extract.images import ImageSplit, reason
from gramlab.files.shards import Broken, Manifest, Shard
from gramlab.files.writer import writing

__all__ = ["extract_features"]


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
    backbone
        The frozen model.
    splits
        "train" and perhaps "test".
    class_names
        K names.
    out
        The folder, see ``gramlab.files.shards``.
    source
        What the images are called, for the record.
    batch_size
        Images of a forward pass.
    shard_rows
        Images of a shard; a killed run loses at most one shard of work.
    dtype
        To store features as, "float16" or "float32".
    strict
        Raise at the first broken image instead of listing it in the manifest.
    superclasses
        Superclass number of each class (K,), if known.
    on_stage
        Called with a name and a number of images when a stage begins.
    on_images
        Called with the number of images done since the last call.

    Returns
    -------
    Manifest
        With every image that could not be read.

    Raises
    ------
    UnreadableSource
        If an image is broken and ``strict``, or none of the training images can be read.
    InvalidSetting, OutputError
        If settings are out of range, or the folder is in use, full, or holds something else.
    """
    batch_size = validation.check_integer("batch_size", batch_size, 1)
    shard_rows = validation.check_integer("shard_rows", shard_rows, 1)
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
        "versions": versions(),
    }
    sizes = {name: len(split) for name, split in splits.items()}
    with writing(
        out, plan, sizes, class_names, shard_rows=shard_rows, superclasses=superclasses
    ) as writer:
        if not writer.finished:
            missing = writer.missing()
            stage("computing features", sum(shard.stop - shard.start for shard in missing))
            for shard in missing:
                x, rows, broken = _computed(backbone, splits, shard, batch_size, strict, done)
                backbone.assert_frozen()  # before it is written: a shard is never computed again
                writer.put(shard, _stored(x, dtype), splits[shard.split].labels[rows], rows, broken)
        return writer.finish()


def _computed(
    backbone: Backbone,
    splits: Mapping[str, ImageSplit],
    shard: Shard,
    batch_size: int,
    strict: bool,
    done: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray, list[Broken]]:
    """Features (n, d) and rows (n,) of the readable images of a shard, and the broken ones."""
    split, rows, broken = splits[shard.split], [], []
    parts: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for row, found in _decoded(backbone, split, range(shard.start, shard.stop)):
        if isinstance(found, str):
            broken.append(Broken(shard.split, row, str(split.names[row]), found))
            if strict:
                raise UnreadableSource(
                    f"image {split.names[row]!r} of {shard.split!r} is broken ({found}); mend or "
                    "remove it, or run without --strict, which lists it in the manifest"
                )
        else:
            rows.append(row)
            batch.append(found)
        if batch and (len(batch) == batch_size or row == shard.stop - 1):
            shapes = {pixels.shape for pixels in batch}
            if len(shapes) > 1:
                raise InvalidSetting(
                    f"the processor of {backbone.name!r} gives images of different sizes "
                    f"({sorted(shape[2:] for shape in shapes)}), which make no batch; "
                    "use --preprocessing paper"
                )
            parts.append(backbone.features(np.concatenate(batch)))
            batch.clear()
        done(1)
    if not parts:  # no rows, of as many features as a grey image has
        import PIL.Image

        grey = PIL.Image.new("RGB", (224, 224), (128, 128, 128))
        parts = [backbone.features(backbone.pixels([grey]))[:0]]
    return np.concatenate(parts), np.array(rows, dtype=np.int64), broken


def _decoded(
    backbone: Backbone, split: ImageSplit, rows: range
) -> Iterator[tuple[int, np.ndarray | str]]:
    """Preprocessed pixels (1, 3, h, w) of each row in order, or why there are none."""

    def read(row: int) -> np.ndarray | str:
        try:
            return backbone.pixels([split.decoded(row)])
        except MemoryError:
            raise
        except Exception as problem:  # OSError, SyntaxError, ValueError, struct.error, …
            return reason(problem)

    # Pillow decodes and resizes outside Python's lock.
    with ThreadPoolExecutor(4) as readers:
        waiting = deque()
        for row in rows:
            waiting.append((row, readers.submit(read, row)))
            if len(waiting) > 16:
                first, future = waiting.popleft()
                yield first, future.result()
        for row, future in waiting:
            yield row, future.result()


def _stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """Features in the type of the folder, if they fit."""
    if not np.isfinite(x).all():
        raise InvalidSetting(
            "the backbone gave features that are not finite; compute with --precision float32"
        )
    if x.size and np.abs(x).max() > np.finfo(dtype).max:
        raise InvalidSetting(
            f"a feature of size {np.abs(x).max():.3g} does not fit {dtype}; use --dtype float32"
        )
    return x.astype(dtype)
