"""How much work a formulation is, by its definition: operations and bytes.

Counted is what the definition needs, not what an implementation spends: a kernel that recomputes scores is not
credited for it, and pairs that a causal mask hides are not work. So the shares of a ceiling compare between engines.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from attlas_ref.contract.signature import Core, size_of
from attlas_ref.records import Record
from attlas_ref.testing.drawn import cores_of, result_cores_of

ITEMSIZE = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


@dataclass(frozen=True)
class Work:
    """What one call has to do."""

    operations: int
    """Multiplications and additions inside matrix products."""
    bytes: int
    """Every input read once and every result written once."""


def work_of(
    record: Record,
    sizes: Mapping[str, int],
    batch: tuple[int, ...] = (),
    dtype: str = "float32",
    options: Mapping[str, Any] | None = None,
) -> Work:
    """Count the work of a call.

    Products are read off the shapes. Where a width stands on a row of queries (m) and on a row of keys (n), their
    scores are one product over all visible pairs; each result with a width on m or n gathers over the other rows and
    is one more. Scaled dot-product attention so has 2 products, its gradient 5.

    >>> from attlas_ref.records import find
    >>> work_of(find("softmax_attention"), {"m": 10, "n": 10, "d": 4, "e": 4}).operations
    1600
    >>> work_of(find("softmax_attention_vjp"), {"m": 10, "n": 10, "d": 4, "e": 4}).operations
    4000
    """
    inputs, outputs = cores_of(record), result_cores_of(record)
    members = math.prod(batch)
    widths = _widths(inputs, "m") & _widths(inputs, "n")
    products = [sizes[width] for width in widths]
    if {"m", "n"} <= {core[0] for core in inputs if core}:
        products += [sizes[core[1]] for core in outputs if len(core) == 2 and core[0] in "mn" and core[1] in sizes]
    pairs = _visible_pairs(sizes, bool((options or {}).get("causal"))) if products else 0
    elements = sum(_entries(core, sizes) for core in (*inputs, *outputs))
    return Work(2 * members * pairs * sum(products), members * elements * ITEMSIZE[dtype])


def _entries(core: Core, sizes: Mapping[str, int]) -> int:
    """How many entries an array has; none is counted of a result with a width that no argument has by itself."""
    return math.prod(size_of(letter, sizes) or 0 for letter in core)


def _widths(cores: Iterable[Core], rows: str) -> set[str]:
    return {core[1] for core in cores if len(core) == 2 and core[0] == rows}


def _visible_pairs(sizes: Mapping[str, int], causal: bool) -> int:
    m, n = sizes["m"], sizes["n"]
    return sum(min(n, max(0, i + 1 + n - m)) for i in range(m)) if causal else m * n
