"""Features whose rows are spread over devices, of one process or of many.

Every device holds the same number of rows; rows of zeros fill the last shards of each process and
count nowhere: N is the number of true rows. Products over rows end in an all-reduce that XLA
inserts; nothing here sends a message of its own.

In a run of many processes (``jax.distributed``) each process holds its own rows and passes its own
targets, weights and certificates are the same in all, and predictions are those of its own rows.
Whatever takes ``ShardedFeatures`` is then a collective call: every process has to make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from gramlab.errors import GramlabError, InvalidFeatures, InvalidSetting
from gramlab.features.derived import Args, Derived, Made
from gramlab.features.preparation import check_scaling
from gramlab.validation import check_features, check_labels

__all__ = ["ShardedFeatures", "shard_features", "shard_local_rows"]

Checked = TypeVar("Checked")


def _device():
    """``gramlab.machine.device``, and JAX with it, when used: ``import gramlab`` stays light."""
    from gramlab.machine import device

    return device


@dataclass(frozen=True, eq=False, repr=False)
class ShardedFeatures:
    """An immutable feature matrix X (N, d), d ≤ N, with its rows over devices.

    Made by :func:`shard_features` or :func:`shard_local_rows`; heads and
    :meth:`gramlab.Spectrum.of` take it in place of :class:`gramlab.Features`.

    Attributes
    ----------
    x : jax.Array of shape (n_devices · rows_per_device, d)
        One shard on each device, zero rows at its end, in the dtype that came in. Devices take
        entries below their dtype's normal range (1.2e-38 of float32) for 0, and so does everything
        that is said of these features.
    labels : np.ndarray of shape (n_local,), int64, or None
        Of this process's rows.
    n_samples, n_local : int
        N, the true rows of all processes, and those of this one.
    max_row_norm, square_norm, largest_entry : float
        max_i ‖x_i‖, ‖X‖_F² and max_ij |x_ij|, over all processes.
    constant : float or None
        The value of the last column where :meth:`with_constant` appended it.
    """

    x: Any
    labels: npt.NDArray[np.int64] | None
    n_samples: int
    n_local: int
    rows_per_device: int
    max_row_norm: float
    square_norm: float
    largest_entry: float
    constant: float | None = None
    _derived: Derived = field(default_factory=Derived, init=False)
    is_mapped: ClassVar[bool] = False  # the shards are on the devices

    def __repr__(self) -> str:
        return (
            f"<ShardedFeatures: N = {self.n_samples}, d = {self.n_features}, "
            f"{self.rows_per_device} rows on each of {self.n_devices} devices>"
        )

    @property
    def n_features(self) -> int:
        """Feature width d."""
        return int(self.x.shape[1])

    @property
    def n_devices(self) -> int:
        """Devices that hold a shard, in all processes."""
        return int(self.x.sharding.mesh.size)

    def derived(self, make: Callable[[ShardedFeatures, *Args], Made], *args: *Args) -> Made:
        """``make(self, *args)``, made once, as :meth:`gramlab.Features.derived` does."""
        return self._derived.once(self, make, *args)

    def with_constant(self, intercept_scaling: float = 1.0) -> ShardedFeatures:
        """One more column, ``intercept_scaling`` in each true row: a penalized intercept.

        As :meth:`gramlab.Features.with_constant`, in the dtype of x, and a collective call: the
        same value in all processes. Centring and unit norm come before, on the rows that are
        sharded. Raises InvalidFeatures if it was taken before or d = N, InvalidSetting unless the
        value is positive in that dtype, NotEnoughMemory if the result would not fit.
        """
        value = check_scaling(intercept_scaling, self.x.dtype)
        if self.constant is not None:
            raise InvalidFeatures(
                f"with_constant must be taken once, got rows that end in {self.constant:g} each; "
                "leave it out"
            )
        _check_tall(self.n_samples, self.n_features + 1)
        column = self.put(np.full((self.n_local, 1), value), "the constant column")
        x = _device().beside(self.x, column)
        square_norm, longest, largest = map(float, _device().row_sums(x))
        return replace(
            self,
            x=x,
            max_row_norm=longest,
            square_norm=square_norm,
            largest_entry=largest,
            constant=value,
        )

    def put(self, values: np.ndarray, what: str) -> Any:
        """Spread float64 ``values`` (n_local, k) like the rows of x, or raise NotEnoughMemory."""
        mesh = self.x.sharding.mesh
        return _device().in_rows(values, mesh, self.rows_per_device, what, np.float64)

    def own_rows(self, array: Any) -> np.ndarray:
        """The true rows (n_local, k) of this process of an array laid out like x, on the host."""
        return _device().own_rows(array, self.n_local)

    def blocks(self, *_: object, **__: object) -> Iterator[tuple[slice, np.ndarray]]:
        """Refused with InvalidFeatures: no process holds all rows."""
        raise InvalidFeatures(
            "sharded features cannot be read row by row on the host: use gramlab.Features for "
            "what needs that"
        )


def shard_features(
    x: npt.ArrayLike, labels: npt.ArrayLike | None = None, devices: Sequence[Any] | None = None
) -> ShardedFeatures:
    """Spread the rows of an array over the devices of this one process.

    Parameters
    ----------
    x : array-like of shape (N, d)
        Features, d ≤ N; float16, float32 and float64 keep their dtype, products are float64.
        A memory map is read a shard at a time.
    labels : array-like of shape (N,), optional
        Kept beside the rows for the caller; heads do not read them.
    devices : sequence of jax.Device, optional
        Default ``jax.devices()``.

    Raises
    ------
    InvalidFeatures, InvalidLabels
        If an array is malformed, or d > N.
    InvalidSetting
        If the run has many processes (then :func:`shard_local_rows` is meant), or ``devices`` is
        empty or names one twice.
    NotEnoughMemory
        If a shard does not fit.
    """
    if (count := _device().process()[1]) > 1:
        raise InvalidSetting(
            f"shard_features takes the rows of a run of one process, got {count} processes: pass "
            "each process's own rows to shard_local_rows"
        )
    return _spread(x, labels, devices)


def shard_local_rows(
    local_x: npt.ArrayLike, labels: npt.ArrayLike | None = None
) -> ShardedFeatures:
    """Make one feature matrix of the rows that every process of the run holds.

    A collective call over all devices of all processes, which may hold different numbers of rows;
    rows are numbered process by process. With one process it is :func:`shard_features`, of which
    the parameters are those: this process's rows (n, d), at least one, and their labels (n,).

    Raises
    ------
    InvalidFeatures, InvalidLabels, NotEnoughMemory, DeviceError
        As ``shard_features``, and if widths or dtypes differ: in all processes what it is in one,
        so that none waits.
    """
    return _spread(local_x, labels, None)


def _spread(
    x: npt.ArrayLike, labels: npt.ArrayLike | None, devices: Sequence[Any] | None
) -> ShardedFeatures:
    def checked() -> tuple[np.ndarray, npt.NDArray[np.int64] | None]:
        rows = check_features(x)
        return rows, None if labels is None else check_labels(labels, n_samples=len(rows))

    own, y = together(checked)
    mesh = _device().row_mesh(devices)
    # Width and precision as numbers, to be compared over processes.
    shards = -(-len(own) // len(mesh.local_devices))
    told = _device().gathered([len(own), own.shape[1], own.dtype.itemsize, shards])
    if (told[:, 1:3] != told[0, 1:3]).any():
        raise InvalidFeatures(
            "x must have one width and one dtype in all processes, got widths "
            f"{told[:, 1].astype(int).tolist()} of {told[:, 2].astype(int).tolist()} bytes an "
            "entry: extract and store all parts alike"
        )
    total, per_device = int(told[:, 0].sum()), int(told[:, 3].max())
    _check_tall(total, own.shape[1])
    rows = together(lambda: _device().in_rows(own, mesh, per_device, "x in shards", own.dtype))
    square_norm, longest, largest = map(float, _device().row_sums(rows))
    return ShardedFeatures(rows, y, total, len(own), per_device, longest, square_norm, largest)


def _check_tall(rows: int, columns: int) -> None:
    if columns > rows:
        raise InvalidFeatures(
            f"x must have at least as many rows as columns to be sharded, got {rows} rows and "
            f"{columns} columns: such a matrix belongs on one device, as gramlab.Features"
        )


def together(check: Callable[[], Checked]) -> Checked:
    """Run ``check`` in every process: what one refuses all refuse, so that none waits for it.

    Raises the GramlabError that ``check`` raised here, or InvalidFeatures if it passed here but not
    in another process.
    """
    problem, result = None, None
    try:
        result = check()
    except GramlabError as found:
        problem = found
    refused = np.flatnonzero(_device().gathered(float(problem is not None)))
    if problem is not None:
        raise problem
    if len(refused):
        raise InvalidFeatures(
            f"process {refused[0]} refused its part of the input: its own message says why"
        )
    return result  # type: ignore[return-value]
