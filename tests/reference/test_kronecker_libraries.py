"""Attention to tuples and by polynomials against PyTorch: einsum forwards, and autograd through them."""

from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(89)
BATCH, M, D, E = (2,), 3, 6, 2
SIZES = (4, 3, 2)
MASK = RNG.random((M, *SIZES[:2])) < 0.7
MASK[..., 0, 0] = True
LAST = np.arange(M)[:, None, None]
CAUSAL = (np.arange(4)[:, None] <= LAST + 1) & (np.arange(3) <= LAST)
Arrays = list[np.ndarray]


def random(*shape: int) -> np.ndarray:
    return RNG.normal(size=(*BATCH, *shape))


def arrays_for(sizes: tuple[int, ...]) -> Arrays:
    return [random(M, D), *(random(n, D) for n in sizes), *(random(n, E) for n in sizes)]


def limits(*arrays: np.ndarray, tuples: int, sides: int = 1) -> dict[str, Any]:
    """A bound for sums over tuples of products of one entry of every array; `sides` queries where those are summed."""
    largest = [max(1.0, float(np.abs(array).max())) for array in arrays]
    scores = D * float(np.prod(largest[:-2]))  # an absolute error of a score is a relative one of its weight
    return {"operations": int(8 * (tuples * sides + D + scores)), "magnitude": D * float(np.prod(largest))}


def over_all_tuples(torch: Any, scores: Any) -> Any:
    return torch.softmax(scores.flatten(2), dim=-1).reshape(scores.shape)


def tensor(torch: Any, query: Any, keys: Any, values: Any, visible: Any = True, scale: float = D**-0.5) -> Any:
    """Weights and output of order-p attention, the cube at once."""
    members = "jkl"[: len(keys)]
    of = ",".join(f"b{letter}c" for letter in "i" + members)
    scores = scale * torch.einsum(f"{of}->bi{members}", query, *keys)
    scores = torch.where(torch.as_tensor(visible), scores, torch.tensor(-np.inf, dtype=scores.dtype))
    weights = over_all_tuples(torch, scores)
    of = ",".join(f"b{letter}e" for letter in members)
    return weights, torch.einsum(f"bi{members},{of}->bie", weights, *values)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_tensor_attention_is_einsum_and_softmax(torch: Any, p: int) -> None:
    arrays = arrays_for(SIZES[:p])
    query, *rest = map(torch.from_numpy, arrays)
    weights, expected = tensor(torch, query, rest[:p], rest[p:])
    actual = attlas_ref.tensor_attention(
        arrays[0], tuple(arrays[1 : p + 1]), tuple(arrays[p + 1 :]), return_weights=True
    )
    bound = limits(*arrays, tuples=int(np.prod(SIZES[:p])))
    assert_equal_up_to_rounding(actual.output, expected.numpy(), **bound)
    assert_equal_up_to_rounding(actual.weights, weights.numpy(), **bound)


VISIBLE = [({}, True), ({"mask": MASK}, MASK), ({"causal": True}, CAUSAL)]


@pytest.mark.parametrize(("options", "visible"), VISIBLE, ids=["plain", "mask", "causal"])
def test_tensor_attention_vjp_is_autograd(torch: Any, options: dict[str, Any], visible: Any) -> None:
    arrays, gradient = arrays_for(SIZES[:2]), random(M, E)
    inputs = [torch.from_numpy(x).requires_grad_() for x in arrays]
    output = tensor(torch, inputs[0], inputs[1:3], inputs[3:], visible)[1]
    expected = torch.autograd.grad(output, inputs, torch.from_numpy(gradient))
    grads = attlas_ref.tensor_attention_vjp(arrays[0], tuple(arrays[1:3]), tuple(arrays[3:]), gradient, **options)
    bound = limits(*arrays, gradient, tuples=12, sides=M)
    for actual, of_torch in zip((grads.grad_query, *grads.grad_keys, *grads.grad_values), expected, strict=True):
        assert_equal_up_to_rounding(actual, of_torch.numpy(), **bound)


@pytest.mark.parametrize("score", ["product", "determinant"])
def test_simplicial_attention_and_its_gradients_are_autograd(torch: Any, score: str) -> None:
    arrays, gradient = arrays_for(SIZES[:2]), random(M, E)
    inputs = [torch.from_numpy(x).requires_grad_() for x in arrays]
    query, key1, key2, value1, value2 = inputs
    biased = key2 + 0.5
    if score == "product":
        scores = torch.einsum("bic,bjc,bkc->bijk", query, key1, biased)
    else:  # (b, i, j, k, t, row of the matrix, channel of the triple)
        triples = [x.reshape(2, x.shape[1], 2, 3) for x in (query, key1, biased)]
        rows = torch.broadcast_tensors(
            triples[0][:, :, None, None], triples[1][:, None, :, None], triples[2][:, None, None]
        )
        scores = torch.linalg.det(torch.stack(rows, dim=-2)).sum(dim=-1)
    weights = over_all_tuples(torch, scores * D**-0.5)
    output = torch.einsum("bijk,bje,bke->bie", weights, value1, value2 - 0.25)
    expected = torch.autograd.grad(output, inputs, torch.from_numpy(gradient))
    options: dict[str, Any] = {"score": score, "key2_bias": 0.5, "value2_bias": -0.25}
    bound = limits(*arrays, gradient, tuples=12, sides=M)
    actual = attlas_ref.simplicial_attention(*arrays, **options)
    assert_equal_up_to_rounding(actual, output.detach().numpy(), **bound)
    for ours, theirs in zip(attlas_ref.simplicial_attention_vjp(*arrays, gradient, **options), expected, strict=True):
        assert_equal_up_to_rounding(ours, theirs.numpy(), **bound)


def test_tri_directional_attention_is_three_softmaxes_of_one_cube(torch: Any) -> None:
    keys, values = ([random(n, width) for n in SIZES] for width in (D, E))
    k, v = ([torch.from_numpy(x) for x in part] for part in (keys, values))
    cube = D**-0.5 * torch.einsum("bic,bjc,bkc->bijk", *k)
    expected = (
        torch.einsum("bijk,bje,bke->bie", over_all_tuples(torch, cube), v[1], v[2]),
        torch.einsum("bjik,bie,bke->bje", over_all_tuples(torch, cube.movedim(2, 1)), v[0], v[2]),
        torch.einsum("bkij,bie,bje->bke", over_all_tuples(torch, cube.movedim(3, 1)), v[0], v[1]),
    )
    result = attlas_ref.tri_directional_attention(*(x for pair in zip(keys, values, strict=True) for x in pair))
    bound = limits(*keys, *values, tuples=12)
    for actual, of_torch in zip(result, expected, strict=True):
        assert_equal_up_to_rounding(actual, of_torch.numpy(), **bound)


def test_fastmax_and_its_gradients_are_autograd(torch: Any) -> None:
    arrays, gradient = [random(M, D), random(4, D), random(4, E)], random(M, E)
    query, key, value = inputs = [torch.from_numpy(x).requires_grad_() for x in arrays]
    scores = query @ key.mT * D**-0.5
    kernel = 1 + scores + scores**2 / 2
    kernel = torch.where(torch.from_numpy(CAUSAL[:, :, 0]), kernel, 0.0)
    output = kernel @ value / kernel.sum(dim=-1, keepdim=True)
    expected = torch.autograd.grad(output, inputs, torch.from_numpy(gradient))
    bound = limits(*arrays, gradient, tuples=4, sides=M)
    actual = attlas_ref.fastmax_attention(*arrays, causal=True)
    assert_equal_up_to_rounding(actual, output.detach().numpy(), **bound)
    for ours, theirs in zip(attlas_ref.fastmax_attention_vjp(*arrays, gradient, causal=True), expected, strict=True):
        assert_equal_up_to_rounding(ours, theirs.numpy(), **bound)


def test_high_order_attention_is_its_plain_expression(torch: Any) -> None:
    x, proj, output_proj = random(3, 4), RNG.normal(size=(3, 3, 4, 2)), RNG.normal(size=(3, 2, 4))
    features, p, u = map(torch.from_numpy, (x, proj, output_proj))
    gates = []
    for r in range(3):
        linear = torch.einsum("bnw,swc->sbnc", features, p[r, : r + 1])
        gates.append(torch.sigmoid(torch.relu(linear.prod(dim=0)) @ u[r]))
    expected = features * torch.stack(gates).mean(dim=0)
    largest = float(np.abs(x).max() * (4 * np.abs(x).max() * np.abs(proj).max()) ** 3 * np.abs(output_proj).max())
    actual = attlas_ref.high_order_attention(x, proj, output_proj)
    assert_equal_up_to_rounding(actual, expected.numpy(), operations=200, magnitude=largest)
