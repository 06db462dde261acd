"""Mutants that compute the same, by name, each with the reason; they are left out of the share that is killed."""

EQUIVALENT: dict[str, str] = {
    "accel/attlas/cupy_gpu/probabilistic/fenwick.py _levels: rest > size → rest >= size": (
        "a group that nobody stands behind is walked over too, and holds no pair"
    ),
    "accel/attlas/cupy_gpu/monotonic/scans.py scaled_sum: 0 → 1": (
        "the shift where both sides are empty: exp(-inf - shift) is 0 whatever it is"
    ),
}
