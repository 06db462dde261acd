"""Slots against scalar loops, k-means, PyTorch's recurrent unit and spectra that are known."""

from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(29)
ENOUGH = {"operations": 4000}
"""Three steps of a few products of at most eight terms, none much above 10."""


def slot_weights(inputs: int, width: int, hidden: int) -> dict[str, np.ndarray]:
    shapes: dict[str, Any] = {
        "w_query": (width, width),
        "w_key": (inputs, width),
        "w_value": (inputs, width),
        "gru_w_input": (width, 3 * width),
        "gru_w_hidden": (width, 3 * width),
        "gru_b_input": (3 * width,),
        "gru_b_hidden": (3 * width,),
        "mlp_w1": (width, hidden),
        "mlp_b1": (hidden,),
        "mlp_w2": (hidden, width),
        "norm_input_gain": (inputs,),
        "norm_input_bias": (inputs,),
    }
    shapes |= dict.fromkeys(("b_query", "b_key", "b_value", "mlp_b2"), (width,))
    shapes |= {f"norm_{at}_{kind}": (width,) for at in ("slots", "mlp") for kind in ("gain", "bias")}
    return {name: RNG.normal(size=shape) for name, shape in shapes.items()}


# Competition


def test_competitive_attention_is_the_loop_of_its_definition() -> None:
    query, key, value = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2))
    mask = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0]], dtype=bool)
    weights = np.zeros((3, 4))
    for j in range(4):
        scores = [0.7 * float(query[i] @ key[j]) for i in range(3)]
        total = sum(np.exp(scores[i]) for i in range(3) if mask[i, j])
        for i in range(3):
            weights[i, j] = np.exp(scores[i]) / total + 0.1 if mask[i, j] else 0
    weights = weights / weights.sum(axis=1, keepdims=True)
    options = {"scale": 0.7, "eps": 0.1, "mask": mask}
    result = attlas_ref.competitive_attention(query, key, value, **options, return_weights=True)
    assert_equal_up_to_rounding(result.weights, weights, **ENOUGH)
    assert_equal_up_to_rounding(result.output, weights @ value, **ENOUGH)
    value[3] = np.nan  # nobody sees it
    assert_equal_up_to_rounding(attlas_ref.competitive_attention(query, key, value, **options), result.output, **ENOUGH)


def test_every_key_is_shared_out_whole() -> None:
    # With the masses of the rows, the weights are the shares again, and those of a key sum to 1.
    query, key = RNG.normal(size=(3, 2)), RNG.normal(size=(5, 2))
    weights = attlas_ref.competitive_attention(query, key, np.eye(5), eps=0.0)
    scores = query @ key.T / np.sqrt(2)
    shares = np.exp(scores) / np.exp(scores).sum(axis=0)
    assert_equal_up_to_rounding(weights * shares.sum(axis=1, keepdims=True), shares, **ENOUGH)


def test_queries_that_see_nothing_or_win_nothing_read_zeros() -> None:
    query, key = np.array([[100.0], [-100.0], [0.0]]), np.array([[100.0]])
    mask = np.array([[True], [True], [False]])
    output = attlas_ref.competitive_attention(query, key, np.ones((1, 1)), eps=0.0, mask=mask)
    np.testing.assert_array_equal(output, [[1.0], [0.0], [0.0]])
    with_eps = attlas_ref.competitive_attention(query, key, np.ones((1, 1)), mask=mask)
    np.testing.assert_array_equal(with_eps, [[1.0], [1.0], [0.0]])


def test_a_visible_nan_reaches_those_who_compete_with_it() -> None:
    query, key, value = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 2)), RNG.normal(size=(2, 1))
    mask = np.array([[True, False], [True, False], [False, True]])
    query[0, 0] = np.nan
    output = attlas_ref.competitive_attention(query, key, value, mask=mask)
    np.testing.assert_array_equal(np.isnan(output[:, 0]), [True, True, False])


def test_gaussian_competition_is_a_step_of_soft_k_means() -> None:
    points, means, beta = RNG.normal(size=(8, 2)), RNG.normal(size=(3, 2)), 1.7
    distance = ((means[:, None] - points) ** 2).sum(axis=-1)
    shares = np.exp(-beta / 2 * distance) / np.exp(-beta / 2 * distance).sum(axis=0)
    expected = shares @ points / shares.sum(axis=1, keepdims=True)
    # -|x - c|²/2 = <c, x> - |c|²/2 up to a term of the point alone, which the softmax over the means cancels.
    bias = -beta / 2 * (means**2).sum(axis=1, keepdims=True)
    actual = attlas_ref.competitive_attention(means, points, points, scale=beta, bias=bias, eps=0.0)
    assert_equal_up_to_rounding(actual, expected, **ENOUGH)


# Slots


def refined_by_torch(torch: Any, inputs: Any, slots: Any, weights: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """The loop with PyTorch's own layers."""
    w = {name: torch.tensor(value) for name, value in weights.items()}
    width = slots.shape[-1]
    cell = torch.nn.GRUCell(width, width, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(w["gru_w_input"].T)
        cell.weight_hh.copy_(w["gru_w_hidden"].T)
        cell.bias_ih.copy_(w["gru_b_input"])
        cell.bias_hh.copy_(w["gru_b_hidden"])

        def norm(x: Any, at: str) -> Any:
            return torch.nn.functional.layer_norm(x, x.shape[-1:], w[f"norm_{at}_gain"], w[f"norm_{at}_bias"])

        x, s = norm(torch.tensor(inputs), "input"), torch.tensor(slots)
        key, value = x @ w["w_key"] + w["b_key"], x @ w["w_value"] + w["b_value"]
        for _ in range(steps):
            query = norm(s, "slots") @ w["w_query"] + w["b_query"]
            shares = (query @ key.mT / width**0.5).softmax(dim=-2) + 1e-8
            update = shares / shares.sum(dim=-1, keepdim=True) @ value
            s = cell(update.reshape(-1, width), s.reshape(-1, width)).reshape(s.shape)
            s = s + torch.relu(norm(s, "mlp") @ w["mlp_w1"] + w["mlp_b1"]) @ w["mlp_w2"] + w["mlp_b2"]
    return s.numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("steps", [1, 3])
def test_slots_are_those_of_torch(torch: Any, steps: int) -> None:
    inputs, slots, weights = RNG.normal(size=(2, 6, 5)), RNG.normal(size=(2, 3, 4)), slot_weights(5, 4, 7)
    expected = refined_by_torch(torch, inputs, slots, weights, steps)
    assert_equal_up_to_rounding(
        attlas_ref.slot_attention(inputs, slots, **weights, steps=steps), expected, magnitude=100.0, **ENOUGH
    )


def test_masked_inputs_are_as_if_taken_out() -> None:
    inputs, slots, weights = RNG.normal(size=(6, 5)), RNG.normal(size=(3, 4)), slot_weights(5, 4, 7)
    mask = np.array([True, False, True, True, False, True])
    inputs[1] = np.nan
    masked = attlas_ref.slot_attention(inputs, slots, **weights, mask=mask)
    assert_equal_up_to_rounding(
        masked, attlas_ref.slot_attention(inputs[mask], slots, **weights), magnitude=100.0, **ENOUGH
    )


def test_the_last_relu_only_lets_slots_grow() -> None:
    weights = {name: x for name, x in slot_weights(5, 4, 7).items() if name not in ("w_key", "w_value")}
    weights = {name: x for name, x in weights.items() if name not in ("b_key", "b_value") and "input_" not in name[5:]}
    weights |= {name: RNG.normal(size=shape) for name, shape in (("gru_w_input", (4, 12)), ("gru_b_input", (12,)))}
    weights = {name: x for name, x in weights.items() if not name.startswith("norm_input")}
    key, value, slots = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4)), RNG.normal(size=(2, 3, 4))
    with_relu = attlas_ref.conditional_slot_attention(key, value, slots, **weights, steps=1)
    without = attlas_ref.conditional_slot_attention(key, value, slots, **weights, steps=1, mlp_output_relu=False)
    nothing = {**weights, "mlp_w2": np.zeros((7, 4)), "mlp_b2": np.zeros(4)}
    unit_alone = attlas_ref.conditional_slot_attention(key, value, slots, **nothing, steps=1)
    assert_equal_up_to_rounding(with_relu - unit_alone, np.maximum(without - unit_alone, 0), magnitude=10.0, **ENOUGH)


def test_the_weights_of_slots_are_those_of_the_last_step() -> None:
    inputs, slots, weights = RNG.normal(size=(6, 5)), RNG.normal(size=(3, 4)), slot_weights(5, 4, 7)
    before = attlas_ref.slot_attention(inputs, slots, **weights, steps=2)
    last = attlas_ref.slot_attention(inputs, slots, **weights, steps=3, return_weights=True).weights
    first = attlas_ref.slot_attention(inputs, before, **weights, steps=0, return_weights=True)
    assert_equal_up_to_rounding(last, first.weights, **ENOUGH)
    np.testing.assert_array_equal(first.output, before)


# Spectra


@pytest.mark.parametrize("sizes", [(1,), (3, 2), (4, 1, 2), (2, 2, 2, 2)])
def test_parallel_groups_are_counted(sizes: tuple[int, ...]) -> None:
    directions = np.linalg.qr(RNG.normal(size=(5, 5)))[0][: len(sizes)]
    features = np.repeat(directions, sizes, axis=0) * RNG.uniform(0.5, 2, (sum(sizes), 1))
    result = attlas_ref.spectral_slot_count(RNG.permutation(features))
    expected = sorted(sizes, reverse=True) + [0] * (sum(sizes) - len(sizes))
    assert_equal_up_to_rounding(result.eigenvalues, expected, **ENOUGH)
    np.testing.assert_array_equal(result.rounded, expected)
    assert result.count == len(sizes)
    assert result.batch_count == max(3, len(sizes))


def test_a_batch_has_the_largest_count_and_rows_of_zeros_count_for_nothing() -> None:
    features = np.zeros((2, 5, 5))
    features[0], features[1, :2] = np.eye(5), [[1, 0, 0, 0, 0]] * 2
    result = attlas_ref.spectral_slot_count(features)
    np.testing.assert_array_equal(result.count, [5, 1])
    assert result.batch_count == 5
    assert_equal_up_to_rounding(result.eigenvalues.sum(axis=-1), [5, 2], **ENOUGH)


def test_properties_are_mixtures_of_features_by_eigenvectors() -> None:
    features = np.repeat(np.diag([3.0, 2.0, 1.0])[:2], (3, 2), axis=0)
    result = attlas_ref.spectral_slot_count(features, return_properties=True)
    # The unit vector that is even on a group of g adds its features to sqrt(g) times one; the third direction is none.
    expected = [[3 * np.sqrt(3), 0, 0], [0, 2 * np.sqrt(2), 0], [0, 0, 0]]
    assert_equal_up_to_rounding(result.properties, expected, **ENOUGH)
    few = attlas_ref.spectral_slot_count(np.ones((1, 2)), return_properties=True)
    assert_equal_up_to_rounding(few.properties, [[1.0, 1.0], [0, 0], [0, 0]], **ENOUGH)


def test_properties_solve_the_eigenproblem_with_a_fixed_sign() -> None:
    features = RNG.normal(size=(5, 4))
    values, _, _, count, properties = attlas_ref.spectral_slot_count(features, return_properties=True)
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    reference_values, vectors = np.linalg.eigh(directions @ directions.T)
    assert_equal_up_to_rounding(values, np.maximum(reference_values[::-1], 0), **ENOUGH)
    for k in range(int(count)):
        vector = vectors[:, -1 - k]
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        assert_equal_up_to_rounding(properties[k], vector @ features, **ENOUGH)


def test_a_nan_spoils_the_spectrum_of_its_own_set() -> None:
    features = RNG.normal(size=(2, 4, 3))
    features[0, 1, 2] = np.nan
    result = attlas_ref.spectral_slot_count(features, return_properties=True)
    assert np.isnan(result.eigenvalues[0]).all()
    assert np.isfinite(result.eigenvalues[1]).all()
    assert np.isfinite(result.properties[1]).all()
    assert result.count[0] == 0


def test_the_nearest_entry_is_found_and_the_first_of_equals() -> None:
    properties, codebook = RNG.normal(size=(2, 6, 3)), RNG.normal(size=(4, 3))
    mean, log_variance, noise = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(2, 6, 3))
    result = attlas_ref.slot_dictionary_lookup(properties, codebook, mean, log_variance, noise)
    for place in np.ndindex(2, 6):
        nearest = min(range(4), key=lambda c: float(((properties[place] - codebook[c]) ** 2).sum()))
        assert result.code[place] == nearest
        expected = mean[nearest] + np.sqrt(np.exp(log_variance[nearest])) * noise[place]
        assert_equal_up_to_rounding(result.slots[place], expected, **ENOUGH)
    tied = attlas_ref.slot_dictionary_lookup(np.zeros((1, 1)), [[1.0], [-1.0]], [[5.0], [6.0]], [[0.0], [0.0]], [[0.0]])
    assert tied.code.tolist() == [0]
