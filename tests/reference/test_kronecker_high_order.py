"""High-order attention: loops in 50 digits, and how its products grow.

| in the specification | here, beside the laws of `polynomial` |
| --- | --- |
| the definition | `test_high_order_attention_is_that_of_the_loops` |
| 0 < A < 1 | `test_gates_lie_strictly_between_zero_and_one` |
| z_r scales by t^r | `test_products_scale_by_powers` |
"""

import mpmath as mp
import numpy as np
import pytest
from exact import numbers
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(73)


def arrays(orders: int, n: int = 3, w: int = 4, c: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return RNG.normal(size=(n, w)), RNG.normal(size=(orders, orders, w, c)), RNG.normal(size=(orders, c, w))


@pytest.mark.parametrize("orders", [1, 2, 3, 4])
def test_high_order_attention_is_that_of_the_loops(orders: int) -> None:
    x, proj, output_proj = arrays(orders)
    gate, largest = np.zeros((3, 4), dtype=object), mp.mpf(1)
    for i, row in enumerate(numbers(x)):
        for r in range(orders):
            z = []
            for c in range(2):
                product = mp.mpf(1)
                for s in range(r + 1):
                    product *= mp.fsum(row[k] * mp.mpf(float(proj[r, s, k, c])) for k in range(4))
                z.append(max(product, mp.mpf(0)))
            for k in range(4):
                u = [mp.mpf(float(output_proj[r, c, k])) for c in range(2)]
                largest = max(largest, mp.fsum(abs(a * b) for a, b in zip(z, u, strict=True)))
                gate[i, k] += 1 / (1 + mp.exp(-mp.fsum(a * b for a, b in zip(z, u, strict=True)))) / orders
    output, weights = attlas_ref.high_order_attention(x, proj, output_proj, return_weights=True)
    # A relative error of a product of r sums of 4 terms is an absolute one of the sigmoid's argument.
    bound = {"operations": 8 * orders * (4 + 2), "magnitude": float(largest)}
    assert_equal_up_to_rounding(weights, gate.astype(float), **bound)
    assert_equal_up_to_rounding(output, x * gate.astype(float), **bound | {"magnitude": 4 * float(largest)})


def test_gates_lie_strictly_between_zero_and_one() -> None:
    gate = attlas_ref.high_order_attention(*arrays(3), return_weights=True).weights
    assert ((gate > 0) & (gate < 1)).all()


def test_products_scale_by_powers() -> None:
    # With one order alone heard (the others have output_proj 0: a gate of 1/2) the logit of the gate is z_r U_r.
    x, proj, output_proj = arrays(3)
    for r in range(3):
        heard = np.zeros_like(output_proj)
        heard[r] = 0.01 * output_proj[r]

        def logit(t: float, heard: np.ndarray = heard) -> np.ndarray:
            gate = attlas_ref.high_order_attention(x, t * proj, heard, return_weights=True).weights
            share = 3 * gate - 2 * 0.5
            return np.log(share / (1 - share))

        # The logit of a share near 1/2 errs by four roundings of it, and by as much as the share does.
        assert_equal_up_to_rounding(logit(2.0), 2 ** (r + 1) * logit(1.0), operations=400, magnitude=8.0)
