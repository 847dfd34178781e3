"""What sharded fits cost: passes, FLOPs, bytes and memory as functions of N, d, K and B.

Pure arithmetic on the counts of docs/sharding.md; nothing is measured, and every rate is an
assumption printed with the table. Prints Markdown:

    python examples/benchmarks/cost_model.py > docs/generated/cost_model.md
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class Cluster:
    """Devices of one kind; rates per device."""

    name: str
    devices: int
    memory: float  # bytes
    float32: float  # FLOP/s
    float64: float  # FLOP/s
    bandwidth: float  # bytes/s to its memory
    network: float  # bytes/s to other devices
    latency: float  # seconds of one all-reduce, whatever its size
    efficiency: float  # share of these rates that is reached
    usable: float  # share of the memory that arrays may take


@dataclass(frozen=True)
class Work:
    """Counts of one head, but for its size."""

    iterations: int = 60  # float32 passes
    evaluations: int = 4  # float64 passes at base points
    products: int = 15  # float64 Hessian products of the certificate
    messages: int = 6  # all-reduces of an iteration: gradient, scalar products, line search


CLUSTER = Cluster("16 hosts of 8 H100", 128, 80e9, 67e12, 67e12, 3.35e12, 50e9, 5e-5, 0.5, 0.8)
WORK = Work()
SIZES = [
    # N, d, K, B
    (10**6, 768, 1000, 1),
    (10**7, 768, 1000, 1),
    (10**7, 768, 1000, 24),
    (10**8, 768, 100, 1),
    (10**8, 768, 100, 24),
    (10**8, 768, 1000, 1),
    (10**8, 768, 1000, 24),
]


def row_bytes(d: int, k: int) -> int:
    """Memory of one row: x as float32, Z as float64 and float32; 16 numbers per class.

    Per class 8 bytes each for targets, logits and deviations at the base point and for two
    temporaries of an evaluation, 4 each for the base predictions, the two of the state and three
    temporaries of an iteration.
    """
    return (4 + 8 + 4) * d + (5 * 8 + 6 * 4) * k


def replicated_bytes(d: int, k: int) -> int:
    """Memory of what every device holds: pairs, directions, gradients, XᵀX and V."""
    return (20 * 4 + 6 * 8) * d * k + 2 * 8 * d * d


def message_bytes(values: float, itemsize: int, devices: int) -> float:
    """Sent and received by each device in a ring all-reduce of ``values`` numbers."""
    return 2.0 * (devices - 1) / devices * values * itemsize


def spectrum_flops(n: int, d: int) -> float:
    """XᵀX, Xᵀ(XV) and Z = XV, in float64; once for all heads on the features."""
    return 8.0 * n * d * d


def float32_flops(n: int, d: int, k: int) -> float:
    """Iterations of one head: two products of 2NdK each."""
    return WORK.iterations * 4.0 * n * d * k


def float64_flops(n: int, d: int, k: int) -> float:
    """Base points and certificate of one head.

    The certificate is an evaluation, two more products, and three for each Hessian product.
    """
    return (4.0 * (WORK.evaluations + 1) + 4.0 + 6.0 * WORK.products) * n * d * k


def seconds(n: int, d: int, k: int, b: int, of: Cluster) -> tuple[float, float]:
    """Arithmetic or memory traffic, whichever is slower; communication."""
    share = of.devices * of.efficiency
    rows = ceil(n / of.devices)
    passes32 = WORK.iterations
    passes64 = WORK.evaluations + 2 + 1.5 * WORK.products
    traffic32 = passes32 * rows * 4.0 * (2 * d + 12 * k)
    traffic64 = passes64 * rows * 8.0 * (2 * d + 8 * k)
    bandwidth = of.bandwidth * of.efficiency
    work = max(float32_flops(n, d, k) / (of.float32 * share), traffic32 / bandwidth)
    work += max(float64_flops(n, d, k) / (of.float64 * share), traffic64 / bandwidth)
    once = spectrum_flops(n, d) / (of.float64 * share)
    sent = passes32 * message_bytes(d * k, 4, of.devices)
    sent += (WORK.evaluations + 2 + WORK.products) * message_bytes(d * k, 8, of.devices)
    waits = (passes32 * WORK.messages + WORK.evaluations + WORK.products + 4) * of.latency
    talk = sent / (of.network * of.efficiency) + waits
    gram = 2.0 * message_bytes(d * d, 8, of.devices) / (of.network * of.efficiency)
    return once + b * work, gram + b * talk


def least_devices(n: int, d: int, k: int, of: Cluster) -> int:
    """Devices whose memory suffices."""
    room = of.usable * of.memory - replicated_bytes(d, k)
    return ceil(n * row_bytes(d, k) / room)


def bytes_words(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000.0
    return f"{value:.3g} TB"


def seconds_words(value: float) -> str:
    return f"{value:.2g} s" if value < 99.5 else f"{value / 60:.0f} min"


def table(of: Cluster) -> list[str]:
    lines = [
        "| N | d | K | B heads | passes | FLOPs | sent by a device per pass | memory in all | "
        "least devices | compute | communication |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for n, d, k, b in SIZES:
        passes = b * (WORK.iterations + WORK.evaluations)
        flops = spectrum_flops(n, d) + b * (float32_flops(n, d, k) + float64_flops(n, d, k))
        least = least_devices(n, d, k, of)
        compute, talk = seconds(n, d, k, b, of)
        fits = least <= of.devices
        cells = [
            f"10^{len(str(n)) - 1}",
            str(d),
            str(k),
            str(b),
            str(passes),
            f"{flops:.1e}",
            bytes_words(message_bytes(d * k, 4, of.devices)),
            bytes_words(n * row_bytes(d, k) + of.devices * replicated_bytes(d, k)),
            str(least),
            seconds_words(compute) if fits else "does not fit",
            seconds_words(talk) if fits else "does not fit",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(of: Cluster = CLUSTER) -> str:
    return "\n".join(
        [
            f"Assumed: {of.name}, {of.devices} devices with {bytes_words(of.memory)} each, "
            f"{100 * of.usable:.0f} % of it usable; {of.float32 / 1e12:.0f} TFLOP/s in float32 and "
            f"{of.float64 / 1e12:.0f} in float64, {of.bandwidth / 1e12:.2f} TB/s to memory, "
            f"{of.network / 1e9:.0f} GB/s to other devices, {100 * of.efficiency:.0f} % of these "
            f"reached, {1e6 * of.latency:.0f} µs to start an all-reduce. "
            f"One head: {WORK.iterations} iterations in float32, {WORK.evaluations} evaluations in "
            f"float64, {WORK.products} Hessian products in its certificate. Extrapolated from "
            "counts, not measured.",
            "",
            *table(of),
            "",
        ]
    )


if __name__ == "__main__":
    print(page(), end="")
