"""Attention by place alone: against scalar loops of the definition, Transformer-XL, and limits."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref
from attlas_ref.monotonic import normalized_positions

RNG = np.random.default_rng(83)
SMALL = {"operations": 4000, "magnitude": 8.0}
"""Some steps, each fed by the place of the one before; a bell passes on an error of its mean some four times."""
M, N = 6, 8
STEPS = ("sigmoid", "relu", "controlled_relu", "softstair", "free")


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def locator(heads: tuple[int, ...] = (), **options: Any) -> dict[str, Any]:
    shapes = {"w_state": (3, 4), "b_state": (4,), "w_sigma": (4,), "w_rho": (4,)}
    learned = {name: 0.5 * normal(*heads, *shape) for name, shape in shapes.items()}
    return {**learned, "return_weights": True, "return_position": True, **options}


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def staircase(r: float, temperature: float) -> float:
    return math.floor(r) + sigmoid(temperature * (r - math.floor(r) - 0.5))


def bell_by_loop(mean: float, width: float, length: int) -> list[float]:
    spacing = 1 / max(length - 1, 1)
    heights = [math.exp(-((j * spacing - mean) ** 2) / (2 * width**2)) for j in range(length)]
    return [height / sum(h + 1e-20 for h in heights) for height in heights]


def step_by_loop(r: float, kind: str, bias: float, temperature: float) -> float:
    share = sigmoid(bias)
    return {
        "sigmoid": sigmoid(5 * r),
        "relu": max(r, 0.0),
        "controlled_relu": share * max(r, 0.0) + (1 - share) * sigmoid(5 * r),
        "softstair": staircase(r, temperature),
        "free": r,
    }[kind]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("position_past", [False, True])
@pytest.mark.parametrize("length", [N, 5, 1])
def test_monotonic_location_attention_is_the_loop(step: str, mixed: bool, position_past: bool, length: int) -> None:
    query, value = normal(M, 3), normal(N, 2)
    call = locator(step=step, step_bias=0.3, softstair_temperature=9.0, mask=np.arange(N) < length)
    if mixed:
        contents = {"key": normal(N, 4), "content_query": normal(M, 4), "w_mix": normal(3), "b_mix": 0.2}
        call |= {**contents, "position_past": position_past}
    output, weights, position = attlas_ref.monotonic_location_attention(query, value, **call)
    place = 0.0
    for i in range(M):
        state = query[i] @ call["w_state"] + call["b_state"]
        width = (max(float(state @ call["w_sigma"]), 0) + 0.27) / length
        move = step_by_loop(float(state @ call["w_rho"]), step, 0.3, 9.0)
        located = bell_by_loop(move / max(length - 1, 1) + place, width, length)
        row = located
        if mixed:
            gate = sigmoid(float(query[i] @ call["w_mix"]) + 0.2)
            scores = [math.exp(float(call["content_query"][i] @ call["key"][j]) / 2) for j in range(length)]
            row = [gate * a + (1 - gate) * b / sum(scores) for a, b in zip(located, scores, strict=True)]
        fed = located if position_past and mixed else row
        place = sum(a * j / max(length - 1, 1) for j, a in enumerate(fed))
        assert_equal_up_to_rounding(weights[i], [*row, *[0.0] * (N - length)], **SMALL)
        assert_equal_up_to_rounding(position[i], place, **SMALL)
    assert_equal_up_to_rounding(output, weights @ value, **SMALL)


@pytest.mark.parametrize("steps", ["softstair", "sigmoid5"])
@pytest.mark.parametrize("simplified", [True, False])
@pytest.mark.parametrize("previous", [None, 0.4])
def test_location_attender_is_the_loop(steps: str, simplified: bool, previous: float | None) -> None:
    query, value = normal(M, 3), normal(N, 2)
    call = locator(steps=steps, simplified=simplified, softstair_temperature=9.0)
    call["w_rho"] = 0.5 * normal(4, 2 if simplified else 3)
    call["previous"] = None if previous is None else np.array(previous)
    _, weights, position = attlas_ref.location_attender(query, value, **call)
    place = previous or 0.0
    for i in range(M):
        state = query[i] @ call["w_state"] + call["b_state"]
        rho = [float(r) for r in state @ call["w_rho"]]
        mean = (staircase(rho[0], 9.0) if steps == "softstair" else sigmoid(5 * rho[0])) / (N - 1)
        if simplified:
            mean += place + (sigmoid(rho[1]) if i == 0 and previous is None else 0)
        else:
            mean += sigmoid(rho[1]) * place + sigmoid(rho[2])
        mean = max(0.01 * mean, min(mean, 1 + 0.01 * mean))
        row = bell_by_loop(mean, (max(float(state @ call["w_sigma"]), 0) + 0.27) / N, N)
        place = sum(a * j / (N - 1) for j, a in enumerate(row))
        assert_equal_up_to_rounding(weights[i], row, **SMALL)
        assert_equal_up_to_rounding(position[i], place, **SMALL)


def test_heads_are_leading_axes() -> None:
    query, value = normal(2, 1, M, 3), normal(2, 3, N, 2)
    call = locator(heads=(3,), previous=np.array([0.0, 0.2, 0.4]))
    every = attlas_ref.monotonic_location_attention(query, value, **call)
    learned = ("w_state", "b_state", "w_sigma", "w_rho", "previous")
    for b in range(2):
        for h in range(3):
            own = {**call, **{name: call[name][h] for name in learned}}
            alone = attlas_ref.monotonic_location_attention(query[b, 0], value[b, h], **own)
            for one, other in zip(alone, every, strict=True):
                assert_equal_up_to_rounding(other[b, h], one, operations=100)


def constant(r: float, **options: Any) -> dict[str, Any]:
    """A locator that does the same at every step: a narrow bell, and r."""
    silent = {"w_state": np.zeros((1, 1)), "b_state": np.ones(1), "w_sigma": np.zeros(1), "w_rho": np.array([r])}
    return {**silent, "return_weights": True, "return_position": True, **options}


@pytest.mark.parametrize("n", [2, 5, 40])
def test_sure_steps_walk_along_the_diagonal(n: int) -> None:
    _, weights, position = attlas_ref.monotonic_location_attention(
        np.zeros((n + 2, 1)), np.zeros((n, 1)), **constant(1e3)
    )
    np.testing.assert_array_equal(weights.argmax(axis=-1), np.minimum(np.arange(1, n + 3), n - 1))
    assert (np.diff(position) >= 0).all() or n == 2


@pytest.mark.parametrize("step", ["sigmoid", "relu", "controlled_relu", "softstair"])
def test_narrow_bells_never_go_back(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    # A bell far narrower than the spacing finds a key only if its mean is one: steps of whole keys, 0 to 2.
    monkeypatch.setattr(normalized_positions, "LEAST_WIDTH", 0.01)
    moves = RNG.integers(0, 2 if step == "sigmoid" else 3, 6).astype(float)
    logits = {"sigmoid": np.where(moves > 0, 1e3, -1e3), "softstair": moves + 0.01}.get(step, moves)
    call = {**constant(1.0, step=step), "w_state": np.ones((1, 1)), "b_state": np.zeros(1)}
    result = attlas_ref.monotonic_location_attention(logits[:, None], np.zeros((20, 1)), **call)
    np.testing.assert_array_equal(result.weights.argmax(axis=-1), np.cumsum(moves))
    assert (np.diff(result.position) >= -1e-9).all()


@pytest.mark.parametrize("r", [0.0, 0.1, 0.5])
def test_steps_are_counted_in_keys(r: float) -> None:
    # Widths differ by the factor (L - 1) / L alone, which moves the mean of a bell by less than that.
    keys = []
    for n in (100, 10_000):
        call = constant(r, previous=np.array(10.0 / (n - 1)))
        result = attlas_ref.monotonic_location_attention(np.zeros((8, 1)), np.zeros((n, 1)), **call)
        keys.append(result.position * (n - 1))
    assert (np.abs(keys[0] - keys[1]) < 8 / 100).all()


def test_moderate_bells_sum_to_one() -> None:
    for n in (1, 2, 7, 50):
        call = locator(w_rho=0.3 * normal(4, 2))
        weights = attlas_ref.location_attender(normal(M, 3), np.zeros((n, 1)), **call).weights
        # Twenty zeros behind the point, n times, beside the largest height: exp(-1.9²) or more.
        assert_equal_up_to_rounding(weights.sum(axis=-1), np.ones(M), operations=100)


def test_the_clamp_leaks_a_hundredth() -> None:
    # Two keys, a narrow bell: the weights tell its mean. A step of +40 or -40 keys from the middle.
    n = 2
    for r, mean in ((40.5, 1 + 0.01 * 41.0), (-40.5, 0.01 * -40.0)):
        call = constant(0.0, previous=np.array(0.5), w_rho=np.array([[r, 0.0]]), w_sigma=np.array([1.0]))
        _, weights, _ = attlas_ref.location_attender(np.zeros((1, 1)), np.zeros((n, 1)), **call)
        width = (1 + 0.27) / n
        assert_equal_up_to_rounding(weights[0], bell_by_loop(mean, width, n), **SMALL)


def test_contents_behind_the_mask_are_not_felt() -> None:
    query, value, key = normal(M, 3), normal(N, 2), normal(N, 4)
    call = locator(content_query=normal(M, 4), w_mix=normal(3), mask=np.arange(N) < 5)
    clean = attlas_ref.monotonic_location_attention(query, value, key=key, **call)
    key[5:], value[5:] = np.nan, np.inf
    for one, other in zip(attlas_ref.monotonic_location_attention(query, value, key=key, **call), clean, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_that_sees_nothing_begins_again() -> None:
    query, value = normal(M, 3), normal(N, 2)
    mask = np.ones((M, N), dtype=bool)
    mask[2] = False
    output, weights, position = attlas_ref.monotonic_location_attention(query, value, mask=mask, **locator())
    assert not output[2].any()
    assert not weights[2].any()
    assert position[2] == 0
    assert np.isfinite(output).all()
    assert (weights[3:].sum(axis=-1) > 0.9).all()


def shifted_rows(x: Any, n: int) -> Any:
    """The relative shift of Transformer-XL: row i of (m, n + m) from column m - i on, by a reshape."""
    m, width = x.shape
    return x.reshape(width, m)[1:].reshape(m, width - 1)[:, :n]


@pytest.mark.parametrize(("m", "n"), [(1, 1), (4, 4), (3, 7), (7, 3)])
def test_relative_scores_are_those_of_transformer_xl(torch: Any, m: int, n: int) -> None:
    query, key, value, w_position, u, v = (
        torch.tensor(normal(*s)) for s in ((m, 4), (n, 4), (n, 2), (6, 4), (4,), (4,))
    )
    distance = torch.arange(n, -m, -1).double()  # how far a key lies behind the query, as in the paper
    frequency = 10_000 ** (-torch.arange(0, 6, 2).double() / 6)
    angle = -distance[:, None] * frequency
    encoding = torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(n + m, 6)
    by_position = shifted_rows((query + v) @ (encoding @ w_position).T, n)
    scores = ((query + u) @ key.T + by_position) / 2
    weights = torch.softmax(scores, dim=-1)
    arrays, learned = (query, key, value), {"w_position": w_position, "content_bias": u, "position_bias": v}
    result = attlas_ref.relative_position_cross_attention(
        *(x.numpy() for x in arrays),
        **{name: x.numpy() for name, x in learned.items()},
        query_offset=n - m,
        return_weights=True,
    )
    assert_equal_up_to_rounding(result.weights, weights.numpy(), **SMALL)
    assert_equal_up_to_rounding(result.output, (weights @ value).numpy(), **SMALL)


def test_a_nan_in_a_key_reaches_the_queries_that_see_it() -> None:
    query, key, value = normal(4, 4), normal(5, 4), normal(5, 2)
    mask = RNG.random((4, 5)) < 0.6
    learned = {"w_position": normal(6, 4), "content_bias": normal(4), "position_bias": normal(4)}
    for j in range(5):
        spoiled = key.copy()
        spoiled[j] = np.nan
        output = attlas_ref.relative_position_cross_attention(query, spoiled, value, mask=mask, **learned)
        np.testing.assert_array_equal(np.isnan(output).any(axis=-1), mask[:, j])


def test_odd_encodings_are_refused() -> None:
    query, none = np.zeros((2, 3)), np.zeros(3)
    with pytest.raises(ValueError, match="w_position has D = 5 rows; it needs an even number"):
        attlas_ref.relative_position_cross_attention(
            query, query, query, w_position=np.zeros((5, 3)), content_bias=none, position_bias=none
        )


def test_encodings_of_several_lengths_are_turned_within_them() -> None:
    encoded, lengths, gate = normal(3, 5, 2), np.array([0, 3, 5]), np.array([0.25, 0.5, 1.0])
    encoded[1, 3:] = np.nan  # behind the end of its sequence
    output = attlas_ref.bidirectional_encoding(encoded, gate, lengths=lengths)
    for b, length in enumerate(lengths):
        for j in range(length):
            expected = gate[b] * encoded[b, j] + (1 - gate[b]) * encoded[b, length - 1 - j]
            assert_equal_up_to_rounding(output[b, j], expected, operations=10, magnitude=4.0)
        assert_equal_up_to_rounding(np.nan_to_num(output[b, length:]), gate[b] * np.nan_to_num(encoded[b, length:]),
                                    operations=10, magnitude=4.0)  # fmt: skip


@pytest.mark.parametrize(("gate", "lengths", "match"), [(1.5, None, "gate leaves"), (0.5, 6, "lengths holds 6")])
def test_bad_encodings_are_refused(gate: float, lengths: int | None, match: str) -> None:
    with pytest.raises(ValueError, match=f"bidirectional_encoding: {match}"):
        attlas_ref.bidirectional_encoding(np.zeros((5, 2)), np.array(gate), lengths=lengths)
