"""JAX, imported: whoever needs it takes it from here, and is told in one line why it cannot be.

JAX reads its settings from the environment while it is imported, and refuses them there.
"""

from __future__ import annotations

from gramlab import errors

__all__ = ["Mesh", "NamedSharding", "PartitionSpec", "jax", "jnp", "multihost_utils", "xla_bridge"]

try:
    import jax
    import jax.numpy as jnp
    from jax._src import xla_bridge
    from jax.experimental import multihost_utils
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
except MemoryError:
    raise
except Exception as problem:
    raise errors.DeviceError(
        f"expected JAX to be importable, but: {problem}; correct what that names: an environment "
        "variable (JAX_...), the limit of address space (ulimit -v), or the installation"
    ) from problem
