"""Arrays of every library go in, and the same kind comes back: dtype, device, memory, errors."""

from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest

import attlas
from attlas.arrays import KINDS
from attlas.engines import simulated

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")


class Library(NamedTuple):
    name: str
    kind: str
    make: object
    cls: type

    def dtype_of(self, array):
        return str(array.dtype).removeprefix("torch.")


NUMPY = Library("numpy", "numpy", lambda array: np.array(array), np.ndarray)
TORCH = Library("torch", "torch-cpu", lambda array: _tensor(array), torch.Tensor)
JAX = Library("jax", "jax-cpu", lambda array: jax.numpy.asarray(array), jax.Array)
LIBRARIES = pytest.mark.parametrize("library", [NUMPY, TORCH, JAX], ids=lambda library: library.name)


def _tensor(array):
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array.copy())


def drawn(dtype=np.float32, m=5, n=6):
    rng = np.random.default_rng(0)
    return [rng.normal(0, 2, shape).astype(dtype) for shape in [(2, m, 3), (n, 3), (n, 4)]]


def numbers(array):
    """Entries of an array of any library, as float64."""
    return np.asarray(KINDS["numpy"].take(array, "float64"))


@pytest.mark.parametrize(
    ("library", "dtype"),
    [
        pytest.param(library, dtype, id=f"{library.name}-{dtype}")
        for library in (NUMPY, TORCH, JAX)
        for dtype in ("float16", "bfloat16", "float32", "float64")
        if (library, dtype) != (JAX, "float64")  # which it holds only with jax_enable_x64: see below
    ],
)
def test_kind_and_dtype_come_back_with_the_same_numbers(library, dtype):
    arrays = drawn(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    mask, bias = np.tri(5, 6, dtype=bool), np.linspace(-1, 1, 6).astype(arrays[0].dtype)
    expected = attlas.softmax_attention(*arrays, mask=mask, bias=bias, return_weights=True)
    result = attlas.softmax_attention(
        *map(library.make, arrays), mask=library.make(mask), bias=library.make(bias), return_weights=True
    )
    for part, same in zip(result, expected, strict=True):
        assert isinstance(part, library.cls)
        assert library.dtype_of(part) == dtype
        np.testing.assert_array_equal(numbers(part), numbers(same))


@pytest.mark.parametrize("library", [NUMPY, TORCH], ids=lambda library: library.name)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_integers_become_float64(library, dtype):
    arrays = [(array > 0).astype(dtype) for array in drawn()]
    assert library.dtype_of(attlas.softmax_attention(*map(library.make, arrays))) == "float64"


def test_jax_integers_are_computed_in_float64_and_come_back_in_the_widest_float_that_jax_holds():
    arrays = [(10 * array).astype(np.int32) for array in drawn()]
    exact = attlas.softmax_attention(*arrays)
    narrow = attlas.softmax_attention(*map(jax.numpy.asarray, arrays))
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, exact.astype(np.float32))
    with jax.enable_x64(True):
        wide = attlas.softmax_attention(*map(jax.numpy.asarray, arrays))
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide, exact)


def test_partials_of_half_precision_stay_in_float32():
    partial = attlas.attention_partial(*(torch.from_numpy(array).bfloat16() for array in drawn()))
    assert [part.dtype for part in partial] == [torch.float32] * 3
    assert attlas.finish_attention_partial(tuple(part.half() for part in partial)).dtype == torch.float16


def test_compositions_run_on_every_kind():
    arrays = drawn()
    partial = attlas.attention_partial(*arrays)
    expected = attlas.merge_attention_partials(partial, partial)
    for library in TORCH, JAX:
        own = tuple(map(library.make, partial))
        for part, same in zip(attlas.merge_attention_partials(own, own), expected, strict=True):
            assert isinstance(part, library.cls)
            np.testing.assert_array_equal(numbers(part), same)


@LIBRARIES
def test_what_an_engine_reads_is_the_memory_of_the_caller(library):
    array = library.make(drawn()[0])
    taken = KINDS["numpy"].take(array, "float32")
    own = array.unsafe_buffer_pointer() if library is JAX else np.asarray(array).__array_interface__["data"][0]
    assert taken.__array_interface__["data"][0] == own


@LIBRARIES
def test_results_share_no_memory_with_inputs(library):
    arrays = [library.make(array) for array in drawn(n=1)]
    mask = library.make(np.ones((5, 1), dtype=bool))
    before = [numbers(array).copy() for array in arrays]
    output = attlas.softmax_attention(*arrays, mask=mask)  # with one key the output is its value
    for array, copy in zip(arrays, before, strict=True):
        assert not np.shares_memory(np.asarray(output), np.asarray(array))
        np.testing.assert_array_equal(numbers(array), copy)


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.mT.contiguous().mT,
        lambda t: torch.stack([t, t * 0], dim=-1)[..., 0],
        lambda t: t[:1].expand(2, -1, -1) if t.ndim == 3 else t,
        lambda t: torch.complex(t * 0, -t).conj().imag,
        lambda t: torch.nn.Parameter(t, requires_grad=False),
    ],
    ids=["transposed", "strided", "expanded", "negative-bit", "parameter"],
)
def test_views_of_torch(view):
    tensors = [view(torch.from_numpy(array)) for array in drawn()]
    plain = [tensor.detach().resolve_neg().clone(memory_format=torch.contiguous_format).numpy() for tensor in tensors]
    np.testing.assert_array_equal(attlas.softmax_attention(*tensors).numpy(), attlas.softmax_attention(*plain))


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: a[..., ::-1, :].copy()[..., ::-1, :],
        lambda a: np.asfortranarray(a),
        lambda a: np.broadcast_to(a[..., :1, :], a.shape),
    ],
    ids=["swapped-bytes", "reversed", "fortran", "broadcast"],
)
def test_views_of_numpy(view):
    arrays = [view(array) for array in drawn()]
    plain = [np.array(array, dtype=np.float32, order="C") for array in arrays]
    bias = view(np.linspace(-1, 1, 30).reshape(5, 6))
    result = attlas.softmax_attention(*arrays, bias=bias)
    assert result.dtype == np.float32
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, attlas.softmax_attention(*plain, bias=np.array(bias, dtype=np.float64)))


def test_nested_sequences_are_arrays():
    assert isinstance(attlas.softmax_attention([[1.0, 0.0]], [[1.0, 0.0]], [[2.0]]), np.ndarray)


@pytest.mark.parametrize(
    ("position", "names"), [(1, "query is a PyTorch .* key is a NumPy"), (2, "query is a PyTorch .* value is a NumPy")]
)
def test_mixed_kinds_name_both_arguments(position, names):
    arrays = [torch.from_numpy(array) for array in drawn()]
    arrays[position] = arrays[position].numpy()
    with pytest.raises(TypeError, match=f"softmax_attention: {names}"):
        attlas.softmax_attention(*arrays)


def test_a_mask_of_another_kind_is_named():
    arrays = [jax.numpy.asarray(array) for array in drawn()]
    with pytest.raises(TypeError, match=r"softmax_attention: query is a JAX .* mask is a PyTorch"):
        attlas.softmax_attention(*arrays, mask=torch.ones(5, 6, dtype=torch.bool))


def test_parts_of_one_argument_must_be_of_one_kind_too():
    partial = attlas.attention_partial(*drawn())
    with pytest.raises(TypeError, match=r"finish_attention_partial: partial is a NumPy .* PyTorch"):
        attlas.finish_attention_partial((partial.maximum, partial.total, torch.from_numpy(partial.accumulator)))


@pytest.mark.parametrize("name", ["softmax_attention", "sigmoid_attention"])
def test_a_tensor_that_requires_a_gradient_is_refused_with_what_to_do(name):
    query, key, value = (torch.from_numpy(array) for array in drawn())
    with pytest.raises(TypeError, match=f"{name}: key requires a gradient.*detach") as caught:
        getattr(attlas, name)(query, key.requires_grad_(), value)
    assert ("softmax_attention_vjp" in str(caught.value)) == (name == "softmax_attention")
    with torch.no_grad():
        assert not getattr(attlas, name)(query, key, value).requires_grad


def test_tensors_that_hold_no_dense_numbers_are_refused():
    query, key, value = (torch.from_numpy(array) for array in drawn())
    with pytest.raises(TypeError, match=r"softmax_attention: value is a tensor of layout .*to_dense"):
        attlas.softmax_attention(query, key, value.to_sparse())
    with pytest.raises(TypeError, match="softmax_attention: value is a Tensor on meta"):
        attlas.softmax_attention(query, key, value.to("meta"))


def test_a_traced_jax_array_is_refused():
    arrays = [jax.numpy.asarray(array) for array in drawn()]
    with pytest.raises(TypeError, match="softmax_attention: query is traced"):
        jax.jit(attlas.softmax_attention)(*arrays)


def test_arrays_of_an_unknown_library_are_refused_by_name():
    class Series:
        shape, dtype = (2, 3), np.dtype(float)

    with pytest.raises(TypeError, match="softmax_attention: key is a Series"):
        attlas.softmax_attention(np.ones((2, 3)), Series(), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("backend", "error", "match"),
    [
        ("numpy", ValueError, r"softmax_attention: backend is 'numpy'; it needs one of \('numba',"),
        (3, TypeError, "softmax_attention: backend is a int"),
        (["numba"], TypeError, "softmax_attention: backend is a list"),
    ],
)
def test_a_backend_that_does_not_exist(backend, error, match):
    with pytest.raises(error, match=match):
        attlas.softmax_attention(*drawn(), backend=backend)


@LIBRARIES
def test_choosing_the_default_backend_by_hand_changes_nothing(library):
    arrays = [library.make(array) for array in drawn()]
    np.testing.assert_array_equal(
        numbers(attlas.softmax_attention(*arrays, backend="numba")), numbers(attlas.softmax_attention(*arrays))
    )


@pytest.mark.skipif(not simulated(), reason="needs NUMBA_ENABLE_CUDASIM=1")
class TestSimulatedGpu:
    """The routes to and from GPU memory that Numba's simulator can walk."""

    def test_device_arrays_come_back_as_device_arrays(self):
        from numba import cuda

        arrays = drawn()
        result = attlas.softmax_attention(*map(cuda.to_device, arrays))
        assert type(result) is type(cuda.to_device(arrays[0]))
        np.testing.assert_array_equal(result.copy_to_host(), attlas.softmax_attention(*arrays, backend="numba-cuda"))

    @LIBRARIES
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
    def test_a_backend_chosen_by_hand_gives_back_what_came(self, library, dtype):
        arrays = drawn(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        result = attlas.softmax_attention(*map(library.make, arrays), backend="numba-cuda")
        assert isinstance(result, library.cls)
        assert library.dtype_of(result) == dtype

    def test_device_arrays_are_not_converted(self):
        from numba import cuda

        query, key, value = drawn()
        with pytest.raises(TypeError, match="softmax_attention: key is a bare GPU array of int32; it needs float64"):
            attlas.softmax_attention(
                *map(cuda.to_device, (query.astype(float), key.astype(np.int32), value.astype(float)))
            )

    def test_compositions_run_on_device_arrays(self):
        from numba import cuda

        partial = attlas.attention_partial(*map(cuda.to_device, drawn()))
        merged = attlas.merge_attention_partials(partial, partial)
        np.testing.assert_array_equal(merged.total.copy_to_host(), 2 * partial.total.copy_to_host())
