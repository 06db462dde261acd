"""Heads that learn to detect triples: softmax and third-order attention with tables of embeddings."""

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp, minimize
from scipy.special import expit

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.dotproduct.softmax_attention_vjp import softmax_attention_vjp
from attlas_ref.kronecker.match_tasks import match3_task
from attlas_ref.kronecker.tensor_attention import tensor_attention, tensor_attention_vjp

MODULUS = 5
INPUTS = np.array(list(product(range(MODULUS), repeat=3)))
"""Every input of three tokens, (125, 3)."""
WIDTH = 5
"""That of `match3_construction`."""
READING = 10.0
"""How far the logit of a fitted head goes up with its output."""
ENOUGH = 400.0
"""What switches a condition off: more than any sum of three numbers of a quarter of it."""
Reals = NDArray[np.float64]


def softmax_head(tables: Reals, inputs: Any = INPUTS, width: int = WIDTH, slope: Reals | None = None) -> Any:
    """Return the outputs of a softmax head with a table of embeddings, or the gradient of the table.

    A row of the table is a token's query, key and value; the last row is a null token that no query belongs to.
    """
    rows = np.concatenate([tables[inputs], np.broadcast_to(tables[-1], (len(inputs), 1, tables.shape[1]))], axis=1)
    arrays = rows[:, :-1, :width], rows[..., width : 2 * width], rows[..., -1:]
    if slope is None:
        return softmax_attention(*arrays, scale=1.0)[..., 0]
    grads = softmax_attention_vjp(*arrays, slope[..., None], scale=1.0)
    return _to_tables(tables, inputs, [grads.grad_query, grads.grad_key, grads.grad_value])


def tensor_head(tables: Reals, inputs: Any = INPUTS, width: int = WIDTH, slope: Reals | None = None) -> Any:
    """The same of third-order attention: query, two keys, two values."""
    rows = np.concatenate([tables[inputs], np.broadcast_to(tables[-1], (len(inputs), 1, tables.shape[1]))], axis=1)
    query, key1, key2 = (rows[..., r * width : (r + 1) * width] for r in range(3))
    arrays = query[:, :-1], (key1, key2), (rows[..., -2:-1], rows[..., -1:])
    if slope is None:
        return tensor_attention(*arrays, scale=1.0)[..., 0]
    grads = tensor_attention_vjp(*arrays, slope[..., None], scale=1.0)
    return _to_tables(tables, inputs, [grads.grad_query, *grads.grad_keys, *grads.grad_values])


def _to_tables(tables: Reals, inputs: Any, grads: list[Reals]) -> Reals:
    """Add the gradients of all copies of a token's row."""
    grads[0] = np.concatenate([grads[0], np.zeros_like(grads[0][:, :1])], axis=1)
    total = np.zeros_like(tables)
    whole = np.concatenate(grads, axis=-1)
    np.add.at(total, inputs, whole[:, :-1])
    total[-1] += whole[:, -1].sum(axis=0)
    return total


def fitted(
    head: Callable[..., Any], columns: int, steps: int, seed: int = 11, **options: Any
) -> tuple[Reals, list[float]]:
    """Fit a head's table to Match3 on every input by L-BFGS; return the outputs and the losses on the way."""
    answers = np.where(match3_task(INPUTS, modulus=MODULUS), 1.0, -1.0)
    shape, losses = (MODULUS + 1, columns), []

    def loss(flat: Reals) -> tuple[float, Reals]:
        tables = flat.reshape(shape)
        margin = READING * answers * (head(tables, **options) - 0.5)
        slope = -READING * answers * expit(-margin) / answers.size
        return float(np.logaddexp(0, -margin).mean()), head(tables, slope=slope, **options).ravel()

    start = np.random.default_rng(seed).normal(size=shape)
    losses.append(loss(start.ravel())[0])
    best = minimize(
        loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps},
        callback=lambda intermediate_result: losses.append(float(intermediate_result.fun)),
    )  # fmt: skip
    return head(best.x.reshape(shape), **options), losses


@cache
def learning_curves(steps: int = 150) -> dict[str, list[float]]:
    """Return the losses of third-order and of softmax attention of the same width while they learn Match3."""
    return {
        "third-order attention": fitted(tensor_head, 3 * WIDTH + 2, steps)[1],
        "softmax attention": fitted(softmax_head, 2 * WIDTH + 1, steps)[1],
    }


@cache
def accuracy_of_softmax(width: int) -> float:
    """Return the share of right answers, over all tokens of all inputs, of the best of a few fitted softmax heads."""
    answers = match3_task(INPUTS, modulus=MODULUS)
    heads = (fitted(partial(softmax_head, width=width), 2 * width + 1, 120, seed)[0] for seed in range(3))
    return max(float(((outputs > 0.5) == answers).mean()) for outputs in heads)


@cache
def limit_of_any_head() -> float:
    """Return the largest share of right answers that one softmax head of any width can give to the first token.

    A head with a threshold decides by the sign of g(x_2) + h(x_3) + a constant, with g and h as free as one likes. A
    mixed-integer program finds those that miss the fewest of all inputs: right answers need a sum of at least 1, or of
    at most 0, unless their switch is on.
    """
    missed = 0.0
    second, third = INPUTS[INPUTS[:, 0] == 0, 1:].T  # the 25 inputs behind a first token
    for first in range(MODULUS):
        inputs = np.stack([np.full_like(second, first), second, third], axis=-1)
        sign = np.where(match3_task(inputs, modulus=MODULUS)[:, 0], 1.0, -1.0)
        sums = np.concatenate([np.eye(MODULUS)[second], np.eye(MODULUS)[third], np.ones((len(sign), 1))], axis=1)
        switches, free = np.eye(len(sign)), sums.shape[1]
        program = milp(
            np.concatenate([np.zeros(free), np.ones(len(sign))]),
            constraints=LinearConstraint(
                np.concatenate([sign[:, None] * sums, ENOUGH * switches], axis=1), lb=np.maximum(sign, 0)
            ),
            integrality=np.concatenate([np.zeros(free), np.ones(len(sign))]),
            bounds=Bounds(
                np.concatenate([np.full(free, -ENOUGH / 4), np.zeros(len(sign))]),
                np.concatenate([np.full(free, ENOUGH / 4), np.ones(len(sign))]),
            ),
        )
        missed += round(program.fun)
    return 1 - missed / len(INPUTS)
