"""Memories that learn: their gradients by a complex step, closed forms, and the wirings by example."""

from typing import Any

import numpy as np
import pytest
import scipy.special
from rounding import assert_equal_up_to_rounding
from test_derivatives import complex_step

import attlas_ref

RNG = np.random.default_rng(61)
N, D, E, H = 7, 3, 2, 4
QUERY, KEY, VALUE = (RNG.normal(size=(N, width)) for width in (D, D, E))
RATES = {"lr": RNG.uniform(0, 0.1, N), "momentum": RNG.uniform(size=N), "decay": RNG.uniform(size=N)}
ENOUGH = {"operations": 4000, "magnitude": 10.0}
"""Seven steps of fewer than 500 operations each; states and outputs stay below 10."""


def gelu(x: Any) -> Any:
    return x * (1 + scipy.special.erf(x / np.sqrt(2))) / 2


ACTIVATIONS: dict[str, Any] = {"gelu": gelu, "identity": lambda x: x}


def learned(network: Any, weights: list[np.ndarray], momenta: list[np.ndarray], chunk_size: int) -> Any:
    """Gradient descent with momentum and decay, token by token; gradients by a complex step."""
    output = np.zeros((N, E))
    for t in range(N):
        if t % chunk_size == 0:
            at = [weight.copy() for weight in weights]

        def error(*trial: Any) -> Any:
            return (network(KEY[t : t + 1], *trial) - VALUE[t : t + 1]) ** 2  # noqa: B023

        theta, eta, alpha = (RATES[name][t] for name in ("lr", "momentum", "decay"))
        gradients = [complex_step(error, at, which, np.ones((1, E))) for which in range(len(at))]
        momenta = [eta * S - theta * g for S, g in zip(momenta, gradients, strict=True)]
        weights = [(1 - alpha) * W + S for W, S in zip(weights, momenta, strict=True)]
        output[t] = network(QUERY[t : t + 1], *weights)[0]
    return output, weights, momenta


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 20])
def test_the_linear_memory_descends_the_gradient_of_its_error(chunk_size: int) -> None:
    memory, surprise = RNG.normal(size=(2, D, E))
    expected, (M,), (S,) = learned(lambda x, M: x @ M, [memory], [surprise], chunk_size)
    output, state = attlas_ref.titans_memory(
        QUERY, KEY, VALUE, **RATES, memory=memory, surprise=surprise, chunk_size=chunk_size, return_state=True
    )
    for actual, exact in ((output, expected), (state.memory, M), (state.surprise, S)):
        assert_equal_up_to_rounding(actual, exact, **ENOUGH)


@pytest.mark.parametrize("chunk_size", [1, 3, 20])
@pytest.mark.parametrize("activation", ["gelu", "identity"])
def test_the_network_descends_the_gradient_of_its_error(activation: str, chunk_size: int) -> None:
    act = ACTIVATIONS[activation]
    weights = [RNG.normal(scale=0.5, size=(D, H)), RNG.normal(scale=0.5, size=(H, E))]
    expected, last, _ = learned(
        lambda x, W1, W2: act(x @ W1) @ W2, weights, [np.zeros((D, H)), np.zeros((H, E))], chunk_size
    )
    output, state = attlas_ref.titans_mlp_memory(
        QUERY, KEY, VALUE, *weights, **RATES, chunk_size=chunk_size, activation=activation, return_state=True
    )
    for actual, exact in ((output, expected), *zip(state, last, strict=True)):
        assert_equal_up_to_rounding(actual, exact, **ENOUGH)


@pytest.mark.parametrize("lr", [0.1, 0.25, 0.5, 0.75, 1.25])
def test_the_error_of_one_pair_shrinks_by_a_factor_or_grows(lr: float) -> None:
    # |k| = 1: the error is multiplied by 1 - 2 lr at each step, which grows beyond lr = 1.
    key, value = np.tile([0.6, 0.8], (6, 1)), np.full((6, 1), 3.0)
    still = np.zeros(6)
    output = attlas_ref.titans_memory(key, key, value, lr=np.full(6, lr), momentum=still, decay=still)
    factor = (1 - 2 * lr) ** np.arange(1, 7)
    assert_equal_up_to_rounding(output[:, 0], 3 * (1 - factor), operations=200, magnitude=3 * max(1, *np.abs(factor)))


def test_a_memory_that_forgets_all_still_knows_the_past_through_its_error() -> None:
    rates = {**RATES, "momentum": np.zeros(N), "decay": np.ones(N)}
    whole = attlas_ref.titans_memory(QUERY, KEY, VALUE, **rates)
    alone = attlas_ref.titans_memory(QUERY[1:], KEY[1:], VALUE[1:], **{name: rate[1:] for name, rate in rates.items()})
    assert (whole[1] != alone[0]).any()
    key = KEY.copy()
    key[1] = np.cross(KEY[0], [1.0, 2.0, 3.0])  # orthogonal to what was written
    whole = attlas_ref.titans_memory(QUERY, key, VALUE, **rates)
    alone = attlas_ref.titans_memory(QUERY[1:], key[1:], VALUE[1:], **{name: rate[1:] for name, rate in rates.items()})
    assert_equal_up_to_rounding(whole[1:], alone, **ENOUGH)


def test_a_network_that_is_cut_goes_on_only_without_momentum() -> None:
    weights = [RNG.normal(scale=0.5, size=(D, H)), RNG.normal(scale=0.5, size=(H, E))]
    whole = attlas_ref.titans_mlp_memory(QUERY, KEY, VALUE, *weights, **RATES)
    first = attlas_ref.titans_mlp_memory(
        QUERY[:3], KEY[:3], VALUE[:3], *weights, **{name: rate[:3] for name, rate in RATES.items()}, return_state=True
    )
    rest = attlas_ref.titans_mlp_memory(
        QUERY[3:], KEY[3:], VALUE[3:], *first.state, **{name: rate[3:] for name, rate in RATES.items()}
    )
    assert (whole[3:] != rest).any()


HEADS, P, WIDTH = 2, 2, 4
SHAPES = ((N, WIDTH), (P, WIDTH), *[(HEADS, WIDTH, D)] * 2, (HEADS, WIDTH, E), (HEADS, E, WIDTH), *[(WIDTH, 3)] * 2,
          (WIDTH, WIDTH))  # fmt: skip
WIRED = [RNG.normal(size=shape) / 2 for shape in SHAPES]
RATE = {"lr": 0.02, "momentum": 0.5, "decay": 0.1}
WIRINGS: dict[str, Any] = {
    "memory_as_context": {"segment": 3},
    "memory_as_gate": {"window": 3},
    "memory_as_layer": {"window": 3},
}


@pytest.mark.parametrize("name", WIRINGS)
def test_a_number_is_the_rate_of_every_token(name: str) -> None:
    function = getattr(attlas_ref, name)
    count = N if name == "memory_as_context" else P + N
    spread = {key: np.full(count, rate) for key, rate in RATE.items()}
    np.testing.assert_array_equal(
        function(*WIRED, **WIRINGS[name], **RATE), function(*WIRED, **WIRINGS[name], **spread)
    )


@pytest.mark.parametrize(
    ("name", "options"), [("memory_as_context", {"segment": N}), ("memory_as_gate", {"window": 3})]
)
def test_norms_are_root_mean_squares_of_both_branches(name: str, options: dict[str, int]) -> None:
    function = getattr(attlas_ref, name)
    norm, memory_norm = RNG.normal(size=(2, WIDTH))

    def normed(z: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return weight * z / np.sqrt((z**2).mean(axis=-1, keepdims=True) + 1e-6)

    # A memory that starts empty answers nothing to the first segment, so both learn from the same y.
    y = 2 * function(*WIRED, **options, lr=0.0, momentum=0.0, decay=0.0)  # behind a gate of one half
    tokens = y if name == "memory_as_context" else np.concatenate([WIRED[1], WIRED[0]])
    rates = {key: np.full(len(tokens), rate) for key, rate in RATE.items()}
    chunk = N if name == "memory_as_context" else 1
    read = attlas_ref.titans_memory(*(tokens @ weight for weight in WIRED[6:]), **rates, chunk_size=chunk)[-N:]
    expected = normed(y, norm) * scipy.special.expit(normed(read, memory_norm))
    actual = function(*WIRED, **options, **RATE, norm_weight=norm, memory_norm_weight=memory_norm)
    # Dividing by the norm of r multiplies its error.
    steep = max(1.0, float((1 / np.sqrt((read**2).mean(axis=-1))).max()))
    assert_equal_up_to_rounding(actual, expected, operations=4000, magnitude=10.0 * steep)


def test_rows_in_the_window_are_not_part_of_the_state() -> None:
    x, persistent, *weights = WIRED
    for options, start in (({"window": 3}, persistent[:0]), ({"window": 1}, persistent)):
        whole = attlas_ref.memory_as_layer(x, start, *weights, **options, **RATE)
        _, state = attlas_ref.memory_as_layer(x[:4], start, *weights, **options, **RATE, return_state=True)
        rest = attlas_ref.memory_as_layer(
            x[4:], start, *weights, **options, **RATE, memory=state.memory, surprise=state.surprise
        )
        assert (rest != whole[4:]).any()


def test_attention_to_an_empty_memory_is_attention_with_extra_mass() -> None:
    # Row i of a causal segment sees i + 1 answers of 0: softmax with i + 1 in the denominator.
    x, persistent, *weights = WIRED
    query, key, value = (x @ weight for weight in weights[:3])
    whole = attlas_ref.memory_as_context(x, persistent[:0], *weights, segment=N, lr=0.0, momentum=0.0, decay=0.0)
    for i in range(N):
        heads = attlas_ref.softmax_plus_n_attention(
            query[:, i : i + 1], key[:, : i + 1], value[:, : i + 1], extra=float(i + 1)
        )
        assert_equal_up_to_rounding(whole[i], (heads @ weights[3]).sum(axis=0)[0] / 2, **ENOUGH)
