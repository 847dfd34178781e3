"""A frozen vision backbone from `transformers`: preprocessing, pooling, precision, and its hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gramlab.errors import InvalidSetting, UnreadableSource

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Backbone", "versions"]

_PAPER = {  # ImageNet's statistics, RGB in [0, 1]
    "name": "paper",
    "resize": (224, 224),
    "resample": "bilinear",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


@dataclass(eq=False)
class Backbone:
    """A model in evaluation mode whose weights cannot change, and how images get into it.

    Attributes
    ----------
    name
        Hub name, or the name of the local folder.
    model, processor
        Of `transformers`.
    preprocessing
        ``"model"``: the model's own processor, run by Pillow. ``"paper"``: 224×224 bilinear without
        crop, ImageNet mean and standard deviation.
    pooling
        ``"pooler"``: the model's pooled output (ResNet: global average pool). ``"cls"``: the first
        token. ``"mean"``: over positions. ``"auto"``: pooled output where there is one, else the
        first token of a sequence, else the mean.
    precision
        Of the forward pass.
    device
        As PyTorch names it.
    weights_hash
        SHA-256 of all parameters and buffers, by name, as they were loaded.
    held_hash
        The same after rounding to ``precision``: of what computes.
    """

    name: str
    model: Any
    processor: Any
    preprocessing: str
    pooling: str
    precision: str
    device: str
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

        Raises
        ------
        InvalidSetting
            If a setting is unknown, the extra is not installed, or the device is not there.
        UnreadableSource
            If the model cannot be loaded, or its weights do not fill it.
        """
        for what, value, known in (
            ("preprocessing", preprocessing, ("model", "paper")),
            ("pooling", pooling, ("auto", "pooler", "cls", "mean")),
            ("precision", precision, ("float32", "float16", "bfloat16")),
        ):
            if value not in known:
                raise InvalidSetting(f"{what} must be one of {', '.join(known)}, got {value!r}")
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModel
        except ImportError as problem:
            raise InvalidSetting(
                f'extracting features needs the extra "extract" ({problem}); '
                'pip install "gramlab[extract]"'
            ) from problem
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        path = Path(name).expanduser()
        place = str(path) if path.is_dir() else str(name)
        # A hub name is NAME or OWNER/NAME; anything else is a folder that is not there, and asking
        # the hub for it would only take time.
        hub_name = re.fullmatch(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", str(name))
        if not path.is_dir() and (path.exists() or not hub_name):
            raise UnreadableSource(
                f"backbone folder {str(name)!r} was not found; give a folder with config.json and "
                "model.safetensors, or a hub name such as microsoft/resnet-34"
            )
        try:
            with _quietly():
                # Never code from the model's own repository, never Python objects.
                model, report = AutoModel.from_pretrained(
                    place, use_safetensors=True, output_loading_info=True
                )
                processor = None
                if preprocessing == "model":
                    processor = AutoImageProcessor.from_pretrained(place, backend="pil")
        except Exception as problem:  # the library raises whatever its parts raise
            raise UnreadableSource(
                f"backbone {str(name)!r} could not be loaded ({type(problem).__name__}: {problem});"
                " give a local folder with config.json and model.safetensors, or a hub name and a "
                "network"
            ) from problem
        missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
        untrained_pooler = len(missing) < len(report["missing_keys"])
        if missing:
            raise UnreadableSource(
                f"backbone {str(name)!r} lacks {len(missing)} of its weights, the first "
                f"{missing[0]!r}, which would be random; give a complete checkpoint"
            )
        if untrained_pooler and pooling == "pooler":
            raise UnreadableSource(
                f"backbone {str(name)!r} has no trained pooler, its output would be random; "
                "use --pooling cls or mean"
            )
        if untrained_pooler and pooling == "auto":
            pooling = "cls"
        model.eval().requires_grad_(False)
        weights_hash = _weights_hash(model)
        try:
            model.to(device=chosen, dtype=getattr(torch, precision))
        except (RuntimeError, AssertionError) as problem:
            raise InvalidSetting(
                f"device {chosen!r} cannot be used ({problem}); leave --device out, or use cpu"
            ) from problem
        return cls(
            name=path.resolve().name if path.is_dir() else str(name),
            model=model,
            processor=processor,
            preprocessing=preprocessing,
            pooling=pooling,
            precision=precision,
            device=chosen,
            weights_hash=weights_hash,
            held_hash=_weights_hash(model),
        )

    def describe(self) -> dict[str, Any]:
        """Everything the features depend on, as JSON; nothing about where files lay."""
        preprocessing = _PAPER
        if self.preprocessing == "model":
            preprocessing = {
                "name": "model",
                "class": type(self.processor).__name__,
                "settings": _plain(self.processor),
            }
        return {
            "backbone": {
                "name": self.name,
                "class": type(self.model).__name__,
                "weights": self.weights_hash,
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
        """Pooled output (n, d) as float32 of preprocessed images."""
        import torch

        if self.model.training:  # batch norm and dropout as in use, not as in training
            raise RuntimeError("the backbone left evaluation mode while features were computed")
        with torch.inference_mode():
            values = torch.from_numpy(pixels).to(self.device, getattr(torch, self.precision))
            try:
                output = self.model(pixel_values=values)
            except ValueError as problem:
                size = "x".join(map(str, pixels.shape[2:]))
                reason = str(problem).rstrip(".")
                raise InvalidSetting(
                    f"backbone {self.name!r} does not take the {size} pixels that preprocessing "
                    f"{self.preprocessing!r} makes ({reason}); choose another preprocessing"
                ) from problem
            return self._pooled(output).float().cpu().numpy()

    def assert_frozen(self) -> None:
        """Raise if the model is not in evaluation mode with the weights that were loaded."""
        trained = [name for name, p in self.model.named_parameters() if p.requires_grad]
        changed = _weights_hash(self.model) != self.held_hash
        if self.model.training or trained or changed:
            raise RuntimeError("the backbone changed while features were computed")

    def _pooled(self, output: Any) -> Any:
        pooled, last = getattr(output, "pooler_output", None), output.last_hidden_state
        way = self.pooling
        if way == "auto":
            way = "pooler" if pooled is not None else "cls" if last.ndim == 3 else "mean"
        if way == "pooler":
            if pooled is None:
                raise InvalidSetting(
                    f"backbone {self.name!r} has no pooled output; use --pooling cls or mean"
                )
            return pooled.flatten(1)
        if way == "cls":
            if last.ndim != 3:
                raise InvalidSetting(
                    f"backbone {self.name!r} gives a map of shape {tuple(last.shape[1:])}, it has "
                    "no first token; use --pooling pooler or mean"
                )
            return last[:, 0]
        # Tokens lie in the middle of (n, tokens, d), positions at the end of (n, d, h, w).
        return last.mean(dim=1) if last.ndim == 3 else last.flatten(2).mean(dim=2)


def versions() -> dict[str, str]:
    """Versions of what computes features."""
    from importlib.metadata import version

    import gramlab

    packages = ("torch", "transformers", "pillow", "numpy")
    return {"gramlab": gramlab.__version__, **{name: version(name) for name in packages}}


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


def _weights_hash(model: Any) -> str:
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}:{array.dtype}:{tuple(array.shape)};".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _plain(settings: Any) -> dict[str, Any]:
    """Settings of a model or processor, less paths and the version that wrote them."""
    found = json.loads(settings.to_json_string())
    hidden = ("_name_or_path", "name_or_path", "transformers_version", "_attn_implementation")
    return {key: value for key, value in sorted(found.items()) if key not in hidden}
