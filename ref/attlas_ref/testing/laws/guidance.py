"""What edits of attention for guidance obey.

| in the specification | law |
| --- | --- |
| blur: constant maps, linear, one tap, flips | `constant_maps_are_not_blurred`, `blurring_is_linear`, |
| | `one_tap_blurs_nothing`, `blurring_knows_no_direction` |
| smoothed: the scores are blurred | `blurred_queries_are_blurred_scores` |
| smoothed: one tap | `one_tap_smooths_nothing` |
| smoothed: sigma = inf | `without_end_all_queries_are_their_mean` |
| smoothed: Jensen | `the_mean_query_has_no_less_than_the_mean_energy` |
| identity: the identity as prior | `attention_to_oneself_is_a_certain_prior` |
| guidance: scale 0, no perturbation, guidance_scale = 1 | `no_perturbation_leaves_the_base`, |
| | `a_guidance_scale_of_one_is_none` |
| sag: uniform attention | `even_attention_degrades_nothing` |
| sag: threshold below 0 | `a_negative_threshold_blurs_everything` |
| sag: bit-identical elsewhere | `what_nobody_looks_at_stays` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, at_most, equal, law, same

BLUR, SMOOTHED, ITSELF = "gaussian_blur_2d", "smoothed_energy_attention", "identity_attention"
GUIDANCE, SAG = "attention_guidance", "sag_degrade"
WEIGHTS = {"return_weights": True}


def _grid(call: Call) -> tuple[int, int]:
    return call.options["height"], call.options["width"]


@law(BLUR, statement="x_ab = c: out = x")
def constant_maps_are_not_blurred(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    constant = np.full_like(call.arrays[0], rng.uniform(-3, 3))
    return equal(call.given(constant).by(f), constant)


@law(BLUR, statement="f(a x + b y) = a f(x) + b f(y)")
def blurring_is_linear(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (x,) = call.arrays
    other, (a, b) = rng.standard_normal(x.shape).astype(x.dtype), rng.uniform(-2, 2, 2).tolist()
    return equal(call.given(a * x + b * other).by(f), a * call.by(f) + b * call.given(other).by(f))


@law(BLUR, statement="kernel_size = 1: out = x")
def one_tap_blurs_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.given(kernel_size=1).by(f), call.arrays[0])


@law(BLUR, statement="f(x flipped) = f(x) flipped, along either axis")
def blurring_knows_no_direction(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (x,) = call.arrays
    return tuple(equal(call.given(np.flip(x, axis)).by(f), np.flip(call.by(f), axis)) for axis in (-1, -2))


@law(SMOOTHED, ties=("softmax_attention", BLUR), statement="softmax with the scores blurred along the queries",
     fixed=WEIGHTS)  # fmt: skip
def blurred_queries_are_blurred_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value = call.arrays
    call = call.given(sigma=float(rng.uniform(0.3, 3)))
    scale = call.options.get("scale")
    scores = (1 / float(np.sqrt(query.shape[-1])) if scale is None else scale) * (query @ key.mT)
    taps = int(np.ceil(6 * call.options["sigma"])) | 1
    given = call.options.get("kernel_size")
    columns = scores.mT.reshape(*scores.mT.shape[:-1], *_grid(call))  # (..., n keys, height, width)
    blurred = f(BLUR, columns, kernel_size=taps if given is None else given, sigma=call.options["sigma"])
    blurred = blurred.reshape(scores.mT.shape).mT
    plain = f("softmax_attention", np.zeros_like(query), key, value, bias=blurred, **WEIGHTS)
    return tuple(equal(one, other) for one, other in zip(call.by(f), plain, strict=True))


@law(SMOOTHED, ties=("softmax_attention",), statement="kernel_size = 1: softmax attention", fixed={"sigma": 1.0})
def one_tap_smooths_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    plain = f("softmax_attention", *call.arrays, **options_of(call, "scale"))
    return equal(call.given(kernel_size=1, sigma=1.0).by(f), plain)


@law(SMOOTHED, ties=("softmax_attention",), statement="σ = ∞: every row is that of the mean query")
def without_end_all_queries_are_their_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    output = call.given(sigma=np.inf).by(f)
    mean = f("softmax_attention", query.mean(axis=-2, keepdims=True), key, value, **options_of(call, "scale"))
    return equal(output, np.broadcast_to(mean, output.shape))


@law("attention_energy", ties=(SMOOTHED,), statement="E(mean_i q_i) >= mean_i E(q_i)",
     fixed={"mask": None, "bias": None, "causal": False}, least={"m": 1, "n": 1})  # fmt: skip
def the_mean_query_has_no_less_than_the_mean_energy(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key = call.arrays
    mean = call.given(query.mean(axis=-2, keepdims=True), key).by(f)
    return at_most(call.by(f).mean(axis=-1, keepdims=True), mean)


@law(ITSELF, ties=("structural_prior_attention",), statement="structural_prior_attention with π = I", fixed=WEIGHTS)
def attention_to_oneself_is_a_certain_prior(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    sure = np.eye(call.arrays[0].shape[-2], dtype=call.arrays[0].dtype)
    posterior = f("structural_prior_attention", *call.arrays, prior=sure, **WEIGHTS)
    return tuple(equal(one, other) for one, other in zip(call.by(f), posterior, strict=True))


def _base(call: Call, guidance_scale: float) -> Any:
    conditional, unconditional = call.arrays[0], call.options.get("unconditional")
    if unconditional is None:
        return conditional
    return unconditional + guidance_scale * (conditional - unconditional)


@law(GUIDANCE, statement="perturbed_scale = 0, or perturbed = conditional: out = base")
def no_perturbation_leaves_the_base(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    conditional, _ = call.arrays
    base = _base(call, call.options.get("guidance_scale", 1.0))
    found = call.given(perturbed_scale=0.0).by(f), call.given(conditional, conditional).by(f)
    return tuple(equal(output, np.broadcast_to(base, output.shape)) for output in found)


@law(GUIDANCE, statement="guidance_scale = 1: out does not depend on unconditional")
def a_guidance_scale_of_one_is_none(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    call = call.given(guidance_scale=1.0)
    without = call.given(unconditional=None).by(f)
    output = call.by(f)
    return equal(output, np.broadcast_to(without, output.shape))


def _weights(call: Call) -> Any:
    """Weights whose rows sum to 1, from any numbers."""
    weights = np.abs(call.arrays[1]) + 0.01
    return weights / weights.sum(axis=-1, keepdims=True)


@law(SAG, statement="A = 1/n: mass 1 everywhere, out = x", least={"c": 1})
def even_attention_degrades_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    latents, weights = call.arrays
    even = np.full_like(weights, 1 / weights.shape[-1])
    output = call.given(latents, even, threshold=1 + 1e-5).by(f)  # the sum of n times 1/n is rounded
    return same(output, np.broadcast_to(latents, output.shape))


@law(SAG, ties=(BLUR,), statement="threshold < 0: out = gaussian_blur_2d(x)", fixed={"threshold": -0.5})
def a_negative_threshold_blurs_everything(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    latents = call.arrays[0]
    sizes = {"kernel_size": call.options.get("kernel_size", 9), "sigma": call.options.get("sigma", 1.0)}
    output = call.given(latents, _weights(call)).by(f)
    return equal(output, np.broadcast_to(f(BLUR, latents, **sizes), output.shape))


@law(SAG, statement="out = x, bit by bit, at the pixels whose cell has no more mass than the threshold")
def what_nobody_looks_at_stays(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    latents, weights = call.arrays[0], _weights(call)
    cells = call.options["map_height"], call.options["map_width"]
    pixels = np.indices(latents.shape[-2:])
    cell = sum(pixel * count // size * stride for pixel, count, size, stride in
               zip(pixels, cells, latents.shape[-2:], (cells[1], 1), strict=True))  # fmt: skip
    chosen = rng.integers(weights.shape[-1])
    weights = np.where(np.arange(weights.shape[-1]) == chosen, weights + 2, 0)  # one column alone has any mass
    output = call.given(latents, weights, threshold=0.5).by(f)
    return same(
        np.where(cell == chosen, 0, output), np.where(cell == chosen, 0, np.broadcast_to(latents, output.shape))
    )
