"""A call that is turned into another library's gives there what it gives here, and the other way round."""

from typing import Any

import numpy as np
import pytest
from native import RUN, agree, plainly

import attlas
import attlas_ref
from attlas import interop
from attlas_ref.testing import assert_within_budget, high_and_lows

RNG = np.random.default_rng(6)


def rows(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    return [RNG.normal(size=shape).astype(dtype) for shape in shapes]


def same(*lead: int, m: int = 3, n: int = 5, d: int = 4, e: int = 4) -> list[Any]:
    return rows((*lead, m, d), (*lead, n, d), (*lead, n, e))


def sparse_mask(*shape: int) -> Any:
    """A mask, with a query that sees nothing."""
    mask = RNG.random(shape) < 0.5
    mask[..., 0, :] = False
    return mask


def with_impossible(bias: Any) -> Any:
    bias[..., -1, :] = -np.inf
    bias[..., 1] = -np.inf
    return bias


def hidden_nan() -> tuple[Any, ...]:
    query, key, value = same(2)
    key[..., 4, :], value[..., 3, 0] = np.nan, np.inf
    return (query, key, value), {"mask": np.arange(5) < 3}


CASES: dict[str, Any] = {
    "plain": lambda: (same(), {}),
    "one leading axis": lambda: (same(2), {"scale": 0.3}),
    "three leading axes": lambda: (same(2, 1, 3), {"mask": sparse_mask(2, 1, 1, 3, 5)}),
    "broadcast keys": lambda: (rows((2, 3, 4, 4), (3, 5, 4), (5, 4)), {"causal": True}),
    "causal, more keys": lambda: (same(2, 2), {"causal": True}),
    "causal, more queries": lambda: (same(2, m=5, n=3), {"causal": True}),
    "causal, as many": lambda: (same(2, m=5, n=5), {"causal": True}),
    "causal and a mask": lambda: (same(2, m=5, n=5), {"causal": True, "mask": sparse_mask(5, 5)}),
    "a mask of one axis": lambda: (same(2), {"mask": np.arange(5) < 3}),
    "everything": lambda: (
        same(2, e=6),
        {
            "causal": True,
            "mask": sparse_mask(2, 3, 5),
            "bias": with_impossible(RNG.normal(size=(3, 5)).astype("f4")),
            "temperature": 0.7,
            "scale": -0.4,
        },
    ),
    "narrow values": lambda: (same(2, e=1), {"temperature": 2.0}),
    "no keys": lambda: (same(2, n=0), {}),
    "no queries": lambda: (same(2, m=0), {"causal": True}),
    "hidden NaN": hidden_nan,
    "reversed": lambda: ([x[..., ::-1, :] for x in same(2)], {}),
}
TO = {"pytorch": interop.to_pytorch, "jax": interop.to_jax, "onnx": interop.to_onnx}


def function_of(library: str) -> Any:
    if library == "onnx":
        return interop.onnx_attention
    if library == "jax":
        import jax

        return jax.nn.dot_product_attention
    import torch

    return torch.nn.functional.scaled_dot_product_attention


@pytest.mark.parametrize("library", TO)
@pytest.mark.parametrize("case", CASES)
def test_converted_call_gives_our_result(library: str, case: str, peers: Any) -> None:
    peers(library)
    arrays, options = CASES[case]()
    with np.errstate(all="ignore"):
        result = TO[library](*arrays, **options).run(function_of(library))
    assert isinstance(result, np.ndarray)
    assert_within_budget(result, *high_and_lows("softmax_attention", arrays, options), f"{library}, {case},")


@pytest.mark.parametrize("library", TO)
def test_kind_and_dtype_come_back(library: str, peers: Any) -> None:
    peers(library)
    torch, jax = peers("pytorch"), peers("jax")
    arrays = same(2)
    expected = attlas_ref.softmax_attention(*arrays)
    tensor = TO[library](*map(torch.from_numpy, arrays)).run(function_of(library))
    assert isinstance(tensor, torch.Tensor)
    assert agree(tensor.numpy(), expected)
    array = TO[library](*map(jax.numpy.asarray, arrays)).run(function_of(library))
    assert isinstance(array, jax.Array)
    assert agree(np.asarray(array), expected)
    half = TO[library](*(x.astype(np.float16) for x in arrays)).run(function_of(library))
    assert half.dtype == np.float16
    whole = TO[library](*(np.round(x).astype(int) for x in arrays)).run(function_of(library))
    assert whole.dtype == np.float64


def test_capped_call_gives_our_result_in_onnx(peers: Any) -> None:
    peers("onnx")
    arrays, options = same(2), {"cap": 1.5, "causal": True, "mask": sparse_mask(3, 5), "scale": 2.0}
    result = interop.to_onnx(*arrays, **options).run(interop.onnx_attention)
    assert agree(result, attlas_ref.softcapped_attention(*arrays, **options))


@pytest.mark.parametrize("convert", [interop.to_onnx, interop.to_flash])
def test_what_has_no_place_there_is_refused(convert: Any) -> None:
    arrays = [x.astype(np.float16) for x in same(2)]
    with pytest.raises(ValueError, match="bias"):
        convert(*arrays, cap=1.5, bias=np.zeros((3, 5)))
    with pytest.raises(ValueError, match="temperature"):
        convert(*arrays, cap=1.5, temperature=2.0)


def test_flash_has_no_mask_and_no_wide_dtype() -> None:
    arrays = [x.astype(np.float16) for x in same(2)]
    with pytest.raises(ValueError, match="mask"):
        interop.to_flash(*arrays, mask=np.ones((3, 5), dtype=bool))
    with pytest.raises(TypeError, match="float32"):
        interop.to_flash(*same(2))


def swap(*arrays: Any) -> list[Any]:
    return [np.swapaxes(x, 1, 2) for x in arrays]


ALIKE: dict[str, list[dict[str, Any]]] = {
    "pytorch": [
        {"is_causal": True},
        {"attn_mask": "mask", "scale": 0.3},
        {"attn_mask": "bias"},
        {"enable_gqa": True, "attn_mask": "mask"},
        {"enable_gqa": True, "is_causal": True},
    ],
    "jax": [
        {"is_causal": True},
        {"mask": "mask", "bias": "bias", "scale": 0.3},
        {"query_seq_lengths": [2, 3], "key_value_seq_lengths": [5, 1]},
        {"local_window_size": (1, 2)},
        {"local_window_size": 1, "is_causal": True},
    ],
    "onnx": [
        {"is_causal": 1},
        {"attn_mask": "mask", "softcap": 2.0},
        {"attn_mask": "bias", "scale": 0.3},
        {"left_window_size": 1, "is_causal": 1},
    ],
}
"""Calls as each library has them, on 2 texts, 4 heads and 2 key heads."""
FROM = {"pytorch": interop.from_pytorch, "jax": interop.from_jax, "onnx": interop.from_onnx}


@pytest.mark.parametrize(
    ("library", "options"), [(k, v) for k, calls in ALIKE.items() for v in calls], ids=lambda part: "+".join(part)
)
def test_their_call_gives_their_result_here(library: str, options: dict[str, Any], peers: Any) -> None:
    peers(library)
    shared = library != "pytorch" or "enable_gqa" in options
    query, key, value = rows((2, 4, 3, 4), *((2, 2 if shared else 4, 5, 4),) * 2)
    mask = RNG.random((2, 4, 3, 5)) < 0.6
    mask[..., 0] = True
    named = {"mask": mask, "bias": RNG.normal(size=(1, 4, 3, 5)).astype(np.float32)}
    given = {
        k: np.array(v, dtype=np.int32) if isinstance(v, list) else named[v] if isinstance(v, str) else v
        for k, v in options.items()
    }
    theirs = RUN[library](query, key, value, **given)
    arrays = swap(query, key, value) if library == "jax" else (query, key, value)
    call = FROM[library](*arrays, **given)
    ours = call.run(getattr(attlas_ref, call.function.removeprefix("attlas.")))
    assert agree(ours, swap(theirs)[0] if library == "jax" else theirs)
    assert ours.shape == arrays[0].shape


def test_cache_and_flat_heads_of_onnx(peers: Any) -> None:
    peers("onnx")
    from onnx.reference.ops.op_attention import _compute_attention as attention

    query, key, value = rows((2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4))
    flat = {"q_num_heads": 4, "kv_num_heads": 2}
    for arrays, options in (
        (
            (query, key[:, :, 2:], value[:, :, 2:]),
            {"past_key": key[:, :, :2], "past_value": value[:, :, :2], "is_causal": 1, "right_window_size": 0},
        ),
        ((query, key, value), {"nonpad_kv_seqlen": np.array([5, 4]), "is_causal": 1, "left_window_size": 1}),
        ((query, key, value), {"attn_mask": np.array([[True, False, True]])}),
        ((query, key, value), {"attn_mask": np.array([[0.5, 1.0]], dtype=np.float32)}),
        ([x.reshape(2, x.shape[1], -1) for x in swap(query, key, value)], {**flat, "is_causal": 1}),
    ):
        with np.errstate(all="ignore"):
            theirs = attention(*arrays, **options)[0]
        ours = interop.from_onnx(*arrays, **options).run(attlas_ref.softmax_attention)
        assert agree(ours, theirs), options


def test_their_tensors_stay_tensors(peers: Any) -> None:
    torch = peers("pytorch")
    query, key, value = (torch.from_numpy(x) for x in same(2, m=5))
    ours = interop.from_pytorch(query, key, value, is_causal=True).run(attlas.softmax_attention)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert isinstance(ours, torch.Tensor)
    assert agree(ours.numpy(), expected.numpy())


@pytest.mark.parametrize("convert", [interop.from_pytorch, interop.from_flash])
def test_dropout_is_refused(convert: Any) -> None:
    with pytest.raises(ValueError, match="dropout_p"):
        convert(*same(1, 2), dropout_p=0.1)


def flash_as_documented(q: Any, k: Any, v: Any, softmax_scale: Any = None, causal: bool = False, **options: Any) -> Any:
    """What the documentation of `flash_attn_func` says, in float64."""
    left, right = options.get("window_size", (-1, -1))
    cap, slopes = options.get("softcap", 0.0), options.get("alibi_slopes")
    q, k, v = (x.astype(float) for x in swap(q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    m, n = q.shape[2], k.shape[2]
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale)
    scores = cap * np.tanh(scores / cap) if cap else scores
    place = np.arange(m)[:, None] + n - m
    distance = np.arange(n) - place
    visible = np.ones((m, n), dtype=bool)
    visible &= distance <= 0 if causal else True
    visible &= distance >= -left if left >= 0 else True
    visible &= distance <= right if right >= 0 else True
    if slopes is not None:
        scores = scores - slopes.reshape(-1, q.shape[1], 1, 1) * np.abs(distance)
    output = np.zeros((*q.shape[:-1], v.shape[-1]))
    some = visible.any(axis=-1)
    output[..., some, :] = plainly(q[..., some, :], k, v, visible[some], scores[..., some, :], scale=0.0)
    return swap(output)[0]


@pytest.mark.parametrize(
    "options",
    [
        {"causal": True},
        {"softmax_scale": 0.3, "window_size": (1, 0)},
        {"window_size": (-1, 1)},
        {"softcap": 2.0, "causal": True},
        {"alibi_slopes": np.array([0.5, 0.25, 0.1, 1.0]), "causal": True},
        {"alibi_slopes": np.arange(8.0).reshape(2, 4)},
    ],
    ids=lambda options: "+".join(options),
)
@pytest.mark.parametrize(("m", "n"), [(3, 5), (5, 3)])
def test_flash_call_gives_here_what_its_documentation_says(m: int, n: int, options: dict[str, Any]) -> None:
    arrays = rows((2, m, 4, 4), (2, n, 2, 4), (2, n, 2, 4))
    call = interop.from_flash(*arrays, **options)
    assert agree(
        call.run(getattr(attlas_ref, call.function.removeprefix("attlas."))), flash_as_documented(*arrays, **options)
    )


@pytest.mark.parametrize("options", [{"causal": True, "temperature": 0.7}, {"cap": 2.0, "scale": 0.3}])
@pytest.mark.parametrize(("m", "n", "e"), [(3, 5, 4), (5, 3, 6), (3, 3, 2)])
def test_our_call_in_the_layout_of_flash(m: int, n: int, e: int, options: dict[str, Any]) -> None:
    arrays = [x.astype(np.float16) for x in same(2, 3, m=m, n=n, e=e)]
    name = "softcapped_attention" if "cap" in options else "softmax_attention"
    expected = getattr(attlas_ref, name)(*(x.astype(np.float32) for x in arrays), **options)
    result = interop.to_flash(*arrays, **options).run(flash_as_documented)
    assert result.shape == (2, 3, m, e)
    assert np.abs(result - expected).max() <= np.finfo(np.float16).eps * np.abs(expected).max()
