"""What XLA has compiled is kept: JAX's persistent compilation cache, in the user's cache folder.

On from the first use of JAX by gramlab, for the whole process. A folder that the user chose
(``JAX_COMPILATION_CACHE_DIR`` or ``jax.config``) is left as it is, and the environment variable
``GRAMLAB_COMPILATION_CACHE=off`` keeps nothing. Compiled code is trusted, so the folder must belong
to the user, and nobody else may write to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from gramlab.machine.backend import jax


@cache
def keep_compiled() -> None:
    """Turn the cache on, once; do nothing where the user chose another, or none can be made.

    Source: https://docs.jax.dev/en/latest/persistent_compilation_cache.html
    """
    config: Any = jax.config
    chosen = config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache
    if chosen or os.environ.get("GRAMLAB_COMPILATION_CACHE", "").lower() == "off":
        return
    try:
        folder = _own_folder()
        _remove_torn(folder)
    except (OSError, RuntimeError):  # no home, not ours, not writable, no locks there
        return
    # An entry that cannot be read or written costs a compilation, no more.
    warnings.filterwarnings(
        "ignore", message="Error (reading|writing) persistent compilation cache entry"
    )
    # Bytes kept, the least recently used leave first; also makes JAX lock the folder.
    config.update("jax_compilation_cache_max_size", 2**28)
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    config.update("jax_compilation_cache_dir", str(folder))


def _own_folder() -> Path:
    """Make the folder of this processor and version, which only the user may write to."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # as the XDG specification asks
        base = Path.home() / ".cache"
    base.mkdir(parents=True, exist_ok=True)
    # What compiled code depends on besides JAX's own key.
    processor = np.show_config(mode="dicts")["SIMD Extensions"]
    facts = json.dumps([platform.machine(), processor, metadata.version("jaxlib")])
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    folder = base / "gramlab"
    for part in (folder, folder / f"compiled-{key}"):
        part.mkdir(mode=0o700, exist_ok=True)
        found = part.lstat()
        mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        if not stat.S_ISDIR(found.st_mode) or not mine or found.st_mode & 0o022:
            raise PermissionError(f"{part} is not a folder that only this user may write to")
        folder = part
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written to")
    return folder


def _remove_torn(folder: Path) -> None:
    """Remove what a process that was killed while writing left: entries without a time of use."""
    with FileLock(folder / ".lockfile", timeout=10):  # the lock that JAX takes
        for entry in folder.glob("*-cache"):
            if not entry.with_name(f"{entry.name.removesuffix('-cache')}-atime").exists():
                entry.unlink()
