"""Attention that knows where it looked last: against libraries, enumeration, closed forms and limits."""

from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(71)
SMALL = {"operations": 2000, "magnitude": 8.0}
"""Some steps of nets with a dozen hidden units, each fed by the one before."""
ADDITIVE = {"w_query": (3, 5), "w_key": (4, 5), "b_key": (5,), "v": (5,)}
M, N = 6, 9


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def learned(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    return {name: normal(*shape) for name, shape in shapes.items()}


def contents() -> tuple[np.ndarray, ...]:
    return normal(M, 3), normal(N, 4), normal(N, 2)


def sensitive(feedback: str = "previous", **options: Any) -> dict[str, Any]:
    channels = 2 if feedback == "both" else 1
    weights = learned({**ADDITIVE, "conv": (2, channels, 5), "b_conv": (2,), "w_location": (2, 5)})
    return {**weights, "feedback": feedback, "return_weights": True, **options}


def dynamic(**options: Any) -> dict[str, Any]:
    shapes = {"w_query": (3, 5), "b_query": (5,), "w_dynamic": (5, 6), "conv": (3, 1, 5), "w_static": (3, 5)}
    return {**learned({**shapes, "w_feature": (2, 5), "b_feature": (5,), "v": (5,)}), "return_weights": True, **options}


@pytest.mark.parametrize("feedback", ["previous", "cumulative", "both"])
@pytest.mark.parametrize("initial", ["uniform", "zeros", "first"])
def test_location_sensitive_attention_is_that_of_torch(torch: Any, feedback: str, initial: str) -> None:
    query, key, value = contents()
    call = sensitive(feedback, initial=initial, scale=2.0, b_v=0.3)
    output, weights = attlas_ref.location_sensitive_attention(query, key, value, **call)
    conv, hidden = torch.nn.functional.conv1d, {name: torch.tensor(call[name]) for name in (*ADDITIVE, "w_location")}
    total = torch.zeros(N).double()
    previous = {"uniform": (total + 1) / N, "zeros": total, "first": torch.eye(N).double()[0]}[initial]
    for i in range(M):
        stack = {"previous": [previous], "cumulative": [total], "both": [previous, total]}[feedback]
        features = conv(torch.stack(stack)[None], torch.tensor(call["conv"]), torch.tensor(call["b_conv"]), padding=2)
        inner = torch.tensor(query[i]) @ hidden["w_query"] + torch.tensor(key) @ hidden["w_key"] + hidden["b_key"]
        scores = torch.tanh(inner + features[0].T @ hidden["w_location"]) @ hidden["v"] + 0.3
        previous = torch.softmax(2 * scores, 0)
        total = total + previous
        assert_equal_up_to_rounding(weights[i], previous.numpy(), **SMALL)
    assert_equal_up_to_rounding(output, weights @ value, **SMALL)


def test_smoothed_weights_are_shares_of_sigmoids() -> None:
    query, key, value = contents()
    call = sensitive(normalize="sigmoid", w_location=np.zeros((2, 5)), b_v=-2.0)
    weights = attlas_ref.location_sensitive_attention(query, key, value, **call).weights
    hidden = (query @ call["w_query"])[:, None] + key @ call["w_key"] + call["b_key"]
    sigmoids = scipy.special.expit(np.tanh(hidden) @ call["v"] - 2)
    assert_equal_up_to_rounding(weights, sigmoids / sigmoids.sum(axis=-1, keepdims=True), **SMALL)
    # Far below 0 the sigmoid is an exponential; its shares are still there.
    far = attlas_ref.location_sensitive_attention(query, key, value, **{**call, "b_v": -1e4}).weights
    exponentials = scipy.special.softmax(np.tanh(hidden) @ call["v"], axis=-1)
    assert_equal_up_to_rounding(far, exponentials, operations=2000, magnitude=1e4)


def test_a_large_scale_makes_it_hard() -> None:
    weights = attlas_ref.location_sensitive_attention(*contents(), **sensitive("both", scale=1e9)).weights
    np.testing.assert_array_equal(np.sort(weights, axis=-1), np.broadcast_to(np.arange(N) == N - 1, (M, N)))


def test_the_running_sum_is_that_of_all_weights_before() -> None:
    # Only key 4 has had attention before; a kernel that looks at the place itself makes it unattractive for ever.
    nothing = np.zeros((3, 1))
    call = {
        "w_query": np.zeros((1, 1)),
        "w_key": np.zeros((1, 1)),
        "v": np.array([-9.0]),
        "w_location": np.ones((1, 1)),
    }
    for feedback, avoided in (("cumulative", True), ("previous", False)):
        result = attlas_ref.location_sensitive_attention(
            nothing, np.zeros((6, 1)), np.zeros((6, 1)), conv=np.array([[[0.0, 9.0, 0.0]]]), feedback=feedback,
            cumulative=np.arange(6) == 4, previous=np.zeros(6), return_weights=True, **call,
        )  # fmt: skip
        assert (result.weights[0, 4] < 1e-3) == avoided


def test_dynamic_convolution_attention_is_that_of_torch(torch: Any) -> None:
    query, _, value = contents()
    call = dynamic(prior_length=4, prior_alpha=0.7, prior_beta=0.4, prior_floor=1e-5)
    output, weights = attlas_ref.dynamic_convolution_attention(query, value, **call)
    conv, past = torch.nn.functional.conv1d, torch.eye(N).double()[0]
    prior = torch.tensor(scipy.stats.betabinom.pmf(np.arange(4), 3, 0.7, 0.4))
    for i in range(M):
        kernel = torch.tensor(np.tanh(query[i] @ call["w_query"] + call["b_query"]) @ call["w_dynamic"])
        static = conv(past[None, None], torch.tensor(call["conv"]), padding=2)[0].T
        moving = conv(past[None, None], kernel.view(2, 1, 3), padding=1)[0].T
        padded = torch.nn.functional.pad(past[None, None], (3, 0))
        moved = conv(padded, prior.flip(0).view(1, 1, 4))[0, 0]
        hidden = static @ torch.tensor(call["w_static"]) + moving @ torch.tensor(call["w_feature"])
        scores = torch.tanh(hidden + torch.tensor(call["b_feature"])) @ torch.tensor(call["v"])
        past = torch.softmax(scores + torch.log(moved.clamp(min=1e-5)), 0)
        assert_equal_up_to_rounding(weights[i], past.numpy(), **SMALL)
    assert_equal_up_to_rounding(output, weights @ value, **SMALL)


def test_a_step_reaches_no_further_than_the_prior() -> None:
    query, _, value = contents()
    weights = attlas_ref.dynamic_convolution_attention(
        query, value, **dynamic(prior_length=3, prior_floor=1e-200)
    ).weights
    reach = np.arange(N) <= 2 * (np.arange(M)[:, None] + 1)
    assert (weights[~reach] < 1e-150).all()
    assert (weights[reach] > 1e-50).all()


def test_the_usual_prior_moves_one_key_per_step() -> None:
    query, value = np.zeros((5, 3)), np.zeros((60, 1))  # five steps of at most ten keys: the end is not reached
    call = dynamic(prior_floor=1e-200)
    weights = attlas_ref.dynamic_convolution_attention(query, value, **{**call, "v": np.zeros(5)}).weights
    assert_equal_up_to_rounding(weights @ np.arange(60.0), np.arange(1.0, 6.0), operations=1000, magnitude=60.0)


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 0.9), (1, 1), (3.0, 0.5), (200.0, 30.0)])
@pytest.mark.parametrize("length", [1, 2, 11, 3000])
def test_beta_binomial_prior_is_that_of_scipy(length: int, alpha: float, beta: float) -> None:
    prior, heads = attlas_ref.beta_binomial_prior(length, alpha=alpha, beta=beta), np.arange(length)
    size = length + alpha + beta
    logarithms = {"operations": 30, "magnitude": size * np.log(size + 1)}  # of the beta function
    expected = scipy.stats.betabinom.pmf(heads, length - 1, alpha, beta)
    assert_equal_up_to_rounding(prior, expected, **logarithms)
    assert_equal_up_to_rounding(prior.sum(), 1, operations=length)
    logarithms["magnitude"] *= length
    assert_equal_up_to_rounding(prior @ heads, (length - 1) * alpha / (alpha + beta), **logarithms)


def test_a_flat_prior_is_uniform() -> None:
    assert_equal_up_to_rounding(attlas_ref.beta_binomial_prior(7, alpha=1, beta=1), np.full(7, 1 / 7), operations=30)


@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_alignment_priors_are_those_of_scipy(scale: float) -> None:
    prior = attlas_ref.beta_binomial_alignment_prior(5, 8, scale=scale)
    for i in range(5):
        expected = scipy.stats.betabinom.pmf(np.arange(8), 7, scale * (i + 1), scale * (5 - i))
        assert_equal_up_to_rounding(prior[i], expected, operations=200)


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ({"length": 0}, ValueError),
        ({"length": 2.0}, TypeError),
        ({"alpha": 0.0}, ValueError),
        ({"beta": -1.0}, ValueError),
    ],
)
def test_bad_priors_are_refused(mistake: dict[str, Any], error: type[Exception]) -> None:
    given = {"length": 3, "alpha": 1.0, "beta": 1.0, **mistake}
    with pytest.raises(error, match=f"beta_binomial_prior: {next(iter(mistake))} is"):
        attlas_ref.beta_binomial_prior(given.pop("length"), **given)
    with pytest.raises(ValueError, match="beta_binomial_alignment_prior: scale is"):
        attlas_ref.beta_binomial_alignment_prior(2, 2, scale=0)


def attentions(mask: np.ndarray, key: np.ndarray, value: np.ndarray, past: np.ndarray) -> dict[str, Any]:
    """The weights of every formulation of this page under a mask; the same parameters at every call."""
    rng = np.random.default_rng(5)

    def draw(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        return {name: rng.normal(size=shape) for name, shape in shapes.items()}

    query, shared = rng.normal(size=(M, 3)), {"mask": mask, "previous": past, "return_weights": True}
    score = draw({**ADDITIVE, "conv": (2, 1, 5), "w_location": (2, 5)})
    filters = {"w_query": (3, 5), "b_query": (5,), "w_dynamic": (5, 6), "conv": (3, 1, 5), "w_static": (3, 5)}
    filters = draw({**filters, "w_feature": (2, 5), "b_feature": (5,), "v": (5,)})
    bells = draw({"w_hidden": (3, 5), "b_hidden": (5,), "w_params": (5, 12), "b_params": (12,)})
    return {
        "sensitive": attlas_ref.location_sensitive_attention(query, key, value, **score, **shared),
        "dynamic": attlas_ref.dynamic_convolution_attention(query, value, **filters, **shared),
        "mixture": attlas_ref.gmm_attention(query, value, **bells, mask=mask, return_weights=True),
        "forward": attlas_ref.forward_attention(
            query, key, value, **score, **shared, agent=True, w_agent=rng.normal(size=5), smooth=0.1
        ),
    }


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_no_step_sees_is_not_felt(strange: float) -> None:
    _, key, value = contents()
    mask, past = np.arange(N) != 4, np.full(N, 0.1)
    clean = attentions(mask, *(np.where(mask[:, None], x, 0) for x in (key, value)), np.where(mask, past, 0))
    largest = float(np.abs(value).max())
    for x in (key, value, past):
        x[4] = strange
    for name, result in attentions(mask, key, value, past).items():
        for one, other in zip(result, clean[name], strict=True):
            # Keys with a NaN are summed apart from the others: another order of at most N terms, M times in a row.
            assert_equal_up_to_rounding(one, other, operations=N * M, magnitude=largest)


def test_a_nan_is_felt_from_the_first_step_that_sees_it() -> None:
    _, key, value = contents()
    mask = np.ones((M, N), dtype=bool)
    mask[:2, 4] = False
    key[4] = np.nan
    results = attentions(mask, key, value, np.full(N, 0.1))
    for name in ("sensitive", "forward"):
        np.testing.assert_array_equal(np.isnan(results[name].output).all(axis=-1), np.arange(M) >= 2)
        np.testing.assert_array_equal(np.isnan(results[name].output).any(axis=-1), np.arange(M) >= 2)
        assert not results[name].weights[:2, 4].any()


def test_a_step_that_sees_nothing_reads_zeros() -> None:
    _, key, value = contents()
    mask = np.ones((M, N), dtype=bool)
    mask[3] = False
    for name, (output, weights) in attentions(mask, key, value, np.full(N, 0.1)).items():
        assert np.isfinite(output).all(), name
        assert not output[3].any(), name
        assert not weights[3].any(), name


@pytest.mark.parametrize(("backward", "forward"), [(0, 1), (1, 3), (2, 5), (5, 20)])
def test_windows_are_those_of_the_loop(backward: int, forward: int) -> None:
    for last in range(9):
        mask = attlas_ref.attention_window_mask(9, last=last, backward=backward, forward=forward)
        expected = np.ones(9, dtype=bool)
        # As ESPnet cuts scores off, on both sides.
        expected[: max(last - backward, 0)] = False
        expected[last + forward :] = False
        np.testing.assert_array_equal(mask, expected)
        assert mask[last]
    assert attlas_ref.attention_window_mask(9, last=4, backward=9, forward=9).all()


def test_windows_of_several_peaks() -> None:
    peaks = np.array([[0, 3], [8, 5]])
    masks = attlas_ref.attention_window_mask(9, last=peaks)
    for place, last in np.ndenumerate(peaks):
        np.testing.assert_array_equal(masks[place], attlas_ref.attention_window_mask(9, last=int(last)))


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ({"last": 5}, ValueError),
        ({"last": -1}, ValueError),
        ({"last": 1.5}, TypeError),
        ({"backward": -1}, ValueError),
        ({"forward": 0}, ValueError),
    ],
)
def test_bad_windows_are_refused(mistake: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=f"attention_window_mask: {next(iter(mistake))} "):
        attlas_ref.attention_window_mask(5, **{"last": 2, **mistake})
