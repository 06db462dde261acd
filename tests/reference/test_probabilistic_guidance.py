"""Blurs and guidance: against convolutions of SciPy and PyTorch, and the pipelines that they come from."""

import math
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding
from scipy.ndimage import correlate1d

import attlas_ref

RNG = np.random.default_rng(47)
MAP = RNG.normal(size=(2, 6, 7))
ENOUGH = {"operations": 200, "magnitude": 4.0}


def kernel(size: int, sigma: float) -> np.ndarray:
    taps = [math.exp(-((t - (size - 1) / 2) ** 2) / (2 * sigma**2)) for t in range(size)]
    return np.array(taps) / sum(taps)


@pytest.mark.parametrize(("size", "sigma"), [(1, 1.0), (3, 0.7), (5, 2.0), (7, 40.0)])
def test_a_blur_is_two_convolutions_with_mirrored_edges(size: int, sigma: float) -> None:
    expected = MAP
    for axis in (-1, -2):
        expected = correlate1d(expected, kernel(size, sigma), axis=axis, mode="mirror")
    assert_equal_up_to_rounding(attlas_ref.gaussian_blur_2d(MAP, kernel_size=size, sigma=sigma), expected, **ENOUGH)


def test_a_blur_is_the_convolution_of_the_official_pipeline(torch: Any) -> None:
    x = torch.from_numpy(MAP)[None]
    one = torch.from_numpy(kernel(5, 1.3))
    taps = (one[:, None] * one)[None, None].expand(2, 1, 5, 5)
    padded = torch.nn.functional.pad(x, [2, 2, 2, 2], mode="reflect")
    expected = torch.nn.functional.conv2d(padded, taps, groups=2)[0].numpy()
    assert_equal_up_to_rounding(attlas_ref.gaussian_blur_2d(MAP, kernel_size=5, sigma=1.3), expected, **ENOUGH)


@pytest.mark.parametrize(("width", "cut"), [(7, 7), (6, 7), (1, 1), (2, 3)])
def test_a_kernel_is_cut_to_the_width(width: int, cut: int) -> None:
    x = RNG.normal(size=(9, width))
    wide, fitting = (attlas_ref.gaussian_blur_2d(x, kernel_size=size, sigma=2.0) for size in (15, cut))
    np.testing.assert_array_equal(wide, fitting)


@pytest.mark.parametrize(
    ("shape", "options", "word"),
    [
        ((6, 7), {"kernel_size": 4, "sigma": 1.0}, "kernel_size is 4"),
        ((3, 7), {"kernel_size": 7, "sigma": 1.0}, "kernel_size is 7"),
        ((6, 7), {"kernel_size": 3, "sigma": 0.0}, "sigma"),
        ((6, 7), {"kernel_size": 3, "sigma": math.inf}, "sigma"),
    ],
)
def test_kernels_that_make_no_sense_are_refused(shape: Any, options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        attlas_ref.gaussian_blur_2d(np.ones(shape), **options)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    query, key, value = (RNG.normal(size=(height * width, columns)) for columns in (3, 3, 2))
    return query, key, value


def test_it_is_the_queries_that_are_blurred_and_not_the_weights() -> None:
    query, key, value = grid(4, 5)
    blurred = np.stack(
        [attlas_ref.gaussian_blur_2d(query[:, c].reshape(4, 5), kernel_size=3, sigma=1.0).ravel() for c in range(3)], -1
    )
    options = {"sigma": 1.0, "height": 4, "width": 5, "kernel_size": 3}
    smoothed = attlas_ref.smoothed_energy_attention(query, key, value, **options)
    assert_equal_up_to_rounding(smoothed, attlas_ref.softmax_attention(blurred, key, value), **ENOUGH)
    weights = attlas_ref.softmax_attention(query, key, value, return_weights=True).weights
    of_weights = attlas_ref.gaussian_blur_2d(weights.T.reshape(20, 4, 5), kernel_size=3, sigma=1.0).reshape(20, 20).T
    assert np.abs(of_weights @ value - smoothed).max() > 1e-3


@pytest.mark.parametrize(("sigma", "taps"), [(0.1, 1), (0.2, 3), (0.5, 3), (0.6, 5), (1.0, 7)])
def test_the_kernel_reaches_three_deviations_to_a_side(sigma: float, taps: int) -> None:
    query, key, value = grid(9, 9)
    options = {"sigma": sigma, "height": 9, "width": 9}
    np.testing.assert_array_equal(
        attlas_ref.smoothed_energy_attention(query, key, value, **options),
        attlas_ref.smoothed_energy_attention(query, key, value, kernel_size=taps, **options),
    )


def test_rows_come_first_in_the_grid() -> None:
    query = np.zeros((12, 1))
    query[5] = 12.0  # row 1, column 1 of 3 by 4
    key = np.array([[1.0]] + [[0.0]] * 11)
    weights = attlas_ref.smoothed_energy_attention(
        query, key, key, sigma=1.0, height=3, width=4, kernel_size=3, scale=1.0, return_weights=True
    ).weights
    felt = weights[:, 0] > 1 / 12 + 1e-9
    np.testing.assert_array_equal(felt.reshape(3, 4), np.array([[1, 1, 1, 0]] * 3, dtype=bool))


@pytest.mark.parametrize(
    "options", [{"height": 3, "width": 5}, {"height": 2, "width": 10, "kernel_size": 9}, {"height": 4, "sigma": 0.0}]
)
def test_grids_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    query, key, value = grid(4, 5)
    with pytest.raises(ValueError, match=r"height|kernel_size|sigma"):
        attlas_ref.smoothed_energy_attention(query, key, value, **{"sigma": 1.0, "width": 5, **options})


def test_identity_attention_is_the_value_and_a_copy() -> None:
    query, key, value = grid(2, 3)
    output, weights = attlas_ref.identity_attention(query, key, value, return_weights=True)
    np.testing.assert_array_equal(output, value)
    np.testing.assert_array_equal(weights, np.eye(6))
    with pytest.raises(ValueError, match="key has 5 rows"):
        attlas_ref.identity_attention(query, key[:5], value)


def test_guidance_adds_to_classifier_free_guidance() -> None:
    conditional, perturbed, unconditional = RNG.normal(size=(3, 2, 4))
    output = attlas_ref.attention_guidance(
        conditional, perturbed, unconditional=unconditional, guidance_scale=7.5, perturbed_scale=3.0
    )
    for place in np.ndindex(2, 4):
        u, c, p = (float(x[place]) for x in (unconditional, conditional, perturbed))
        assert output[place] == pytest.approx(u + 7.5 * (c - u) + 3.0 * (c - p), rel=1e-14)


def test_sag_blurs_the_pixels_of_crowded_cells_and_no_others(torch: Any) -> None:
    latents, weights = RNG.normal(size=(2, 3, 7, 9)), RNG.dirichlet(0.3 * np.ones(6), size=(2, 4, 6))
    output = attlas_ref.sag_degrade(latents, weights, map_height=2, map_width=3, kernel_size=5)
    mass = weights.mean(axis=1).sum(axis=1).reshape(2, 1, 2, 3)
    # The pipeline enlarges the mask with torch's nearest neighbors.
    mask = torch.nn.functional.interpolate(torch.from_numpy((mass > 1).astype(float)), (7, 9)).numpy() > 0
    assert mask.any()
    assert not mask.all()
    blurred = attlas_ref.gaussian_blur_2d(latents, kernel_size=5, sigma=1.0)
    np.testing.assert_array_equal(output, np.where(mask, blurred, latents))


def test_a_nan_in_a_map_reaches_the_pixels_of_its_column() -> None:
    latents, weights = RNG.normal(size=(1, 6, 6)), np.full((2, 4, 4), 0.25)
    weights[1, 2, 3] = np.nan
    output = attlas_ref.sag_degrade(latents, weights, map_height=2, map_width=2, kernel_size=3)
    corner = np.zeros((6, 6), dtype=bool)
    corner[3:, 3:] = True
    np.testing.assert_array_equal(np.isnan(output[0]), corner)


def test_a_map_must_have_the_cells_of_the_weights() -> None:
    with pytest.raises(ValueError, match="map_height is 2"):
        attlas_ref.sag_degrade(np.ones((1, 9, 9)), np.full((1, 5, 5), 0.2), map_height=2, map_width=3)
