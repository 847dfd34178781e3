"""A frozen vision backbone from `transformers`: preprocessing, pooling, precision, and its hash."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.extract.weights import digest, hashes, unread
from gramlab.validation import missing_extra

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Backbone"]

_KNOWN = {
    "preprocessing": ("model", "paper"),
    "pooling": ("auto", "pooler", "cls", "mean"),
    "precision": ("float32", "float16", "bfloat16"),
}
_PAPER = {  # ImageNet's statistics, RGB in [0, 1]
    "name": "paper",
    "resize": (224, 224),
    "resample": "bilinear",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
# A hub name is NAME or OWNER/NAME; anything else is a folder that is not there, and asking the hub
# for it would only take time.
_HUB_NAME = r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?"
# Of a model's or processor's settings: where it lay, and the version that wrote them.
_HIDDEN = ("_name_or_path", "name_or_path", "transformers_version", "_attn_implementation")


@dataclass(eq=False)
class Backbone:
    """A model in evaluation mode whose weights cannot change, and how images get into it.

    Attributes
    ----------
    name
        On the hub, or of the local folder; ``model`` and ``processor`` are of `transformers`.
    preprocessing
        ``"model"``: the model's own processor, run by Pillow. ``"paper"``: 224×224 bilinear without
        crop, ImageNet mean and standard deviation.
    pooling
        ``"pooler"``: the model's pooled output (ResNet: global average pool). ``"cls"``: the first
        token. ``"mean"``: over positions.
    precision, device
        Of the forward pass, as PyTorch names them.
    untrained
        Names of the weights that the checkpoint lacks, which are random at every load. The feature
        does not depend on them.
    n_features
        Columns d of the feature.
    weights_hash
        SHA-256 of the parameters and buffers, by name and as they were loaded, of those parts of
        the model that the feature depends on.
    held_hash
        SHA-256 of all of them after rounding to ``precision``: of what computes.
    """

    name: str
    model: Any
    processor: Any
    preprocessing: str
    pooling: str
    precision: str
    device: str
    untrained: tuple[str, ...]
    n_features: int
    weights_hash: str
    held_hash: str

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        *,
        preprocessing: str = "model",
        pooling: str = "auto",
        precision: str = "float32",
        device: str | None = None,
    ) -> Backbone:
        """Load whatever ``AutoModel`` loads: a hub name or a local folder.

        Pooling ``"auto"`` is the first of pooler, cls and mean that the model offers and that
        depends on no untrained weights. A few forward passes of a grey image tell on which it does.

        Raises
        ------
        InvalidSetting
            If a setting is unknown, the extra is not installed, the device is not there, or the
            model does not offer this pooling or take images of this preprocessing.
        UnreadableSource
            If the model cannot be loaded, or the feature depends on weights that the checkpoint
            lacks.
        """
        asked = {"preprocessing": preprocessing, "pooling": pooling, "precision": precision}
        for what, value in asked.items():
            if value not in _KNOWN[what]:
                known = ", ".join(_KNOWN[what])
                raise InvalidSetting(f"{what} must be one of {known}, got {value!r}")
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModel
        except ImportError as problem:
            raise missing_extra("extracting features", "extract", problem) from problem
        path, processor = Path(name).expanduser(), None
        if not path.is_dir() and (path.exists() or not re.fullmatch(_HUB_NAME, str(name))):
            raise UnreadableSource(
                f"backbone folder {str(name)!r} was not found; give a folder with config.json and "
                "model.safetensors, or a hub name such as microsoft/resnet-34"
            )
        place = str(path if path.is_dir() else name)
        try:
            with _quietly():
                # Never code from the model's own repository, never Python objects.
                model, report = AutoModel.from_pretrained(
                    place, use_safetensors=True, output_loading_info=True
                )
                if preprocessing == "model":
                    processor = AutoImageProcessor.from_pretrained(place, backend="pil")
        except Exception as problem:  # the library raises whatever its parts raise
            raise UnreadableSource(
                f"backbone {str(name)!r} could not be loaded ({type(problem).__name__}: {problem});"
                " give a local folder with config.json and model.safetensors, or a hub name and a "
                "network"
            ) from problem
        model.eval().requires_grad_(False)
        loaded = hashes(model)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model.to(device=device, dtype=getattr(torch, precision))
        except (RuntimeError, AssertionError) as problem:
            raise InvalidSetting(
                f"device {device!r} cannot be used ({problem}); leave --device out, or use cpu"
            ) from problem
        own = path.resolve().name if path.is_dir() else str(name)
        untrained = tuple(sorted(report["missing_keys"]))
        made = {"untrained": untrained, "n_features": 0, "weights_hash": ""}
        draft = cls(own, model, processor, device=device, **asked, **made, held_hash="")
        return draft._settled(loaded)

    def describe(self) -> dict[str, Any]:
        """Everything the features depend on, as JSON; nothing about where files lay."""
        preprocessing = _PAPER
        if self.preprocessing == "model":
            own = {"name": "model", "class": type(self.processor).__name__}
            preprocessing = {**own, "settings": _plain(self.processor)}
        return {
            "backbone": {
                "name": self.name,
                "class": type(self.model).__name__,
                "weights": self.weights_hash,
                "untrained": list(self.untrained),
                "config": _plain(self.model.config),
            },
            "preprocessing": preprocessing,
            "pooling": self.pooling,
            "precision": self.precision,
            "device": self.device.split(":")[0],
        }

    def pixels(self, images: Sequence[Image]) -> np.ndarray:
        """Preprocessed images (n, 3, height, width), float32."""
        if self.preprocessing == "paper":
            import PIL.Image

            mean, std = (np.array(_PAPER[key], dtype=np.float32) for key in ("mean", "std"))
            resized = [i.resize(_PAPER["resize"], PIL.Image.Resampling.BILINEAR) for i in images]
            values = np.stack([np.asarray(i, dtype=np.float32) for i in resized]) / np.float32(255)
            return np.ascontiguousarray(((values - mean) / std).transpose(0, 3, 1, 2))
        found = self.processor(images=list(images), return_tensors="np")["pixel_values"]
        return np.asarray(found, dtype=np.float32)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """Pooled output (n, d) as float32 of preprocessed images; InvalidSetting if not finite."""
        if self.model.training:  # batch norm and dropout as in use, not as in training
            raise RuntimeError("the backbone left evaluation mode while features were computed")
        found = self._offered(pixels)[self.pooling].float().cpu().numpy()
        if not np.isfinite(found).all():
            raise InvalidSetting(
                "the backbone gave features that are not finite; compute with --precision float32"
            )
        return found

    def assert_frozen(self) -> None:
        """Raise if the model is not in evaluation mode with the weights that were loaded."""
        trained = any(parameter.requires_grad for parameter in self.model.parameters())
        if self.model.training or trained or digest(hashes(self.model)) != self.held_hash:
            raise RuntimeError("the backbone changed while features were computed")

    def _offered(
        self, pixels: np.ndarray, weights: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Every feature (n, d) that the model offers, by pooling, with some weights replaced."""
        import torch

        with torch.inference_mode():
            values = torch.from_numpy(pixels).to(self.device, getattr(torch, self.precision))
            try:
                output = torch.func.functional_call(
                    self.model, dict(weights or {}), (), {"pixel_values": values}
                )
            except ValueError as problem:
                size = "x".join(map(str, pixels.shape[2:]))
                reason = str(problem).rstrip(".")
                raise InvalidSetting(
                    f"backbone {self.name!r} does not take the {size} pixels that preprocessing "
                    f"{self.preprocessing!r} makes ({reason}); choose another preprocessing"
                ) from problem
            pooled, last = getattr(output, "pooler_output", None), output.last_hidden_state
            found = {} if pooled is None else {"pooler": pooled.flatten(1)}
            if last.ndim == 3:  # (n, tokens, d)
                return found | {"cls": last[:, 0], "mean": last.mean(dim=1)}
            return found | {"mean": last.flatten(2).mean(dim=2)}  # a map (n, d, h, w)

    def _settled(self, loaded: Mapping[str, str]) -> Backbone:
        """With its pooling decided and its weights hashed; `loaded` are the hashes of each."""
        import PIL.Image

        pixels = self.pixels([PIL.Image.new("RGB", (224, 224), (128, 128, 128))])
        offered = self._offered(pixels)
        spared = unread(self.model, lambda nan: self._offered(pixels, nan), self.untrained)
        trained = [way for way in offered if spared[way].issuperset(self.untrained)]
        way = self.pooling
        if way == "auto":
            way = (trained or list(offered))[0]
        if way not in offered:
            lacks = {"pooler": "pooled output", "cls": "first token: it gives a map, no sequence"}
            raise InvalidSetting(
                f"backbone {self.name!r} has no {lacks[way]}; use --pooling {' or '.join(offered)}"
            )
        # What is not finite is refused first: NaN would seem to depend on everything.
        n_features = replace(self, pooling=way).features(pixels).shape[1]
        if way not in trained:
            instead = f"use --pooling {' or '.join(trained)}, or " if trained else ""
            raise UnreadableSource(
                f"backbone {self.name!r} lacks {len(self.untrained)} of its weights, the first "
                f"{self.untrained[0]!r}, and features of pooling {way!r} depend on them, so they "
                f"would be random; {instead}give a complete checkpoint"
            )
        return replace(
            self,
            pooling=way,
            n_features=n_features,
            weights_hash=digest(loaded, without=spared[way]),
            held_hash=digest(hashes(self.model)),
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's own bars and advice, which would run through the caller's."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _plain(settings: Any) -> dict[str, Any]:
    found = json.loads(settings.to_json_string())
    return {key: value for key, value in sorted(found.items()) if key not in _HIDDEN}
