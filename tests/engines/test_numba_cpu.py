"""What is special to the CPU engine: compilation, the disk cache, threads, forks, memory, determinism, block edges."""

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peak_memory import peak_of

import attlas
import attlas_ref
from attlas import threads
from attlas.numba_cpu import attention, compile, operands, pool
from attlas.numba_cpu.compile import kernel, part, ready
from attlas.numba_cpu.dense import build_softmax
from attlas.numba_cpu.real import real_of
from attlas.numba_cpu.turns import Turns
from attlas_ref.testing import assert_within_budget, high_and_lows

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@pytest.fixture
def num_threads() -> Iterator[Callable[[int | None], None]]:
    yield threads.set_num_threads
    threads.set_num_threads(None)


def heads(
    seed: int, m: int, n: int, d: int = 8, e: int = 5, batch: tuple[int, ...] = (), dtype: Any = np.float32
) -> Any:
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(*batch, *shape)).astype(dtype) for shape in ((m, d), (n, d), (n, e)))


def in_budget(name: str, *arrays: Any, **options: Any) -> None:
    high, lows = high_and_lows(name, arrays, options)
    assert_within_budget(getattr(attlas, name)(*arrays, **options), high, lows, what=name)


# Elementary functions


def applied(function: Any, numbers: Any) -> Any:
    def loop(inputs, results):  # type: ignore[no-untyped-def]
        for i in range(inputs.size):
            results[i] = function(inputs[i])

    import numba

    results = np.empty_like(numbers)
    numba.njit(loop, error_model="numpy")(numbers, results)
    return results


def ulps(actual: Any, exact: Any) -> float:
    """The largest error in units of the last place, where the exact result is a normal number."""
    normal = np.abs(exact) >= np.finfo(actual.dtype).smallest_normal
    unit = np.spacing(np.abs(exact[normal]).astype(actual.dtype))
    return float((np.abs(actual[normal] - exact[normal]) / unit).max())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("name", "exact", "limit"),
    [
        ("exp", np.exp, 2),
        (
            "sigmoid",
            lambda x: np.where(x > 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x)))),
            3,
        ),
        ("tanh", np.tanh, 3),
    ],
)
def test_elementary_functions_keep_their_stated_error(name: str, exact: Any, limit: float, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    lowest = np.log(np.finfo(dtype).smallest_normal)
    x = np.concatenate([rng.uniform(lowest, 0, 200_000), -np.exp(rng.uniform(-30, 3, 200_000)), [-0.0]]).astype(dtype)
    x = x if name == "exp" else np.concatenate([x, -x])
    # Two units more digits than the result; float64 is judged by the extended precision of the platform, if it has it.
    wide = x.astype(np.longdouble if dtype.itemsize == 8 else np.float64)
    assert ulps(applied(getattr(real_of(dtype), name), x), exact(wide)) <= limit


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_elementary_functions_at_the_ends(dtype: Any) -> None:
    real = real_of(dtype)
    ends = np.array([-np.inf, np.nan, 0, -1e4, -1e30], dtype=dtype)
    np.testing.assert_array_equal(applied(real.exp, ends), [0, np.nan, 1, 0, 0])
    np.testing.assert_array_equal(applied(real.sigmoid, ends), [0, np.nan, 0.5, 0, 0])
    np.testing.assert_array_equal(applied(real.sigmoid, -ends), [1, np.nan, 0.5, 1, 1])
    np.testing.assert_array_equal(applied(real.tanh, ends), [-1, np.nan, 0, -1, -1])
    np.testing.assert_array_equal(applied(real.tanh, -ends), [1, np.nan, 0, 1, 1])


# Blocks: the register tile has 96 float32 or 48 float64 lanes, blocks have 96 queries and 128 keys.


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("m", "n"), [(1, 129), (17, 127), (47, 1), (49, 128), (95, 256), (96, 257), (97, 300), (200, 129)]
)
def test_sizes_around_the_edges_of_blocks(m: int, n: int, dtype: Any) -> None:
    query, key, value = heads(m * n, m, n, dtype=dtype)
    rng = np.random.default_rng(m + n)
    mask, bias = rng.random((m, n)) < 0.7, rng.normal(size=(m, n)).astype(dtype)
    for causal in (False, True):
        in_budget("softmax_attention", query, key, value, causal=causal, return_weights=True)
        in_budget("softmax_attention", query, key, value, causal=causal, mask=mask, bias=bias, return_weights=True)
        in_budget("sigmoid_attention", query, key, value, causal=causal, mask=mask)
    grad_output = rng.normal(size=(m, value.shape[-1])).astype(dtype)
    in_budget("softmax_attention_vjp", query, key, value, grad_output, mask=mask, bias=bias, return_grad_bias=True)
    in_budget("softmax_attention_vjp", query, key, value, grad_output, causal=True)


def test_a_growing_maximum_rescales_what_came_before() -> None:
    """The scores of each block of keys are far above those of the one before."""
    n = 3 * operands.KEYS_PER_BLOCK
    query = np.ones((1, 1), dtype=np.float32)
    key = np.repeat(np.arange(3.0), operands.KEYS_PER_BLOCK)[:, None].astype(np.float32)
    value = np.linspace(-1, 1, n, dtype=np.float32)[:, None]
    for scale in (0.5, 3.0, 100.0):
        in_budget("softmax_attention", query, key, value, scale=scale, return_weights=True)


def test_hidden_rubbish_in_any_block_changes_no_bit() -> None:
    m, n = 2 * operands.QUERIES_PER_BLOCK + 5, 2 * operands.KEYS_PER_BLOCK + 7
    query, key, value = heads(0, m, n)
    mask = np.random.default_rng(1).random((m, n)) < 0.5
    hidden = np.array([3, operands.KEYS_PER_BLOCK, n - 1])
    mask[:, hidden] = False
    clean = attlas.softmax_attention(query, key, value, mask=mask)
    key[hidden], value[hidden[1:]] = np.nan, np.inf
    np.testing.assert_array_equal(attlas.softmax_attention(query, key, value, mask=mask), clean)


def test_a_visible_nan_reaches_only_who_sees_it() -> None:
    query, key, value = heads(0, 200, 300)
    value[250, 2] = np.nan
    output = attlas.softmax_attention(query, key, value, causal=True)
    rows, columns = np.nonzero(np.isnan(output))
    assert set(columns) == {2}
    assert rows.tolist() == list(range(150, 200))  # j <= i + 100


def test_chunk_sizes_bound_the_blocks() -> None:
    query, key, value = heads(0, 200, 300)
    laid = operands.lay_out(
        query, key, value, mask=None, bias=None, diagonal=None, parameters=(), queries_per_block=7, keys_per_block=11
    )
    assert (laid.size.queries, laid.size.keys) == (7, 11)
    query, key, value = heads(0, 20, 30)
    for chunks in ((1, 1), (7, 11), (10_000, 10_000)):
        in_budget("memory_efficient_attention", query, key, value, query_chunk_size=chunks[0], key_chunk_size=chunks[1])


# A bias of another precision


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int8], ids=lambda kind: np.dtype(kind).name)
@pytest.mark.parametrize("shape", [(2, 200, 300), (200, 300), (200, 1), (1, 300), (300,), ()], ids=str)
def test_a_bias_of_another_precision_is_that_bias(kind: Any, shape: tuple[int, ...]) -> None:
    query, key, value = heads(0, 200, 300, d=2, e=1, batch=(2,))
    bias = (4 * np.random.default_rng(1).normal(size=shape)).astype(kind)
    options: dict[str, Any] = {"causal": True}
    np.testing.assert_array_equal(
        attlas.softmax_attention(query, key, value, bias=bias, **options),
        attlas.softmax_attention(query, key, value, bias=bias.astype(np.float32), **options),
    )
    grad_output = np.ones((2, 200, 1), dtype=np.float32)
    ours = attlas.softmax_attention_vjp(query, key, value, grad_output, bias=bias, **options)
    same = attlas.softmax_attention_vjp(query, key, value, grad_output, bias=bias.astype(np.float32), **options)
    for one, other in zip(ours, same, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("m", "n"), [(96, 128), (96, 129), (192, 127), (200, 300)], ids=str)
def test_how_a_bias_lies_changes_no_bit(m: int, n: int, dtype: Any) -> None:
    """Keys that stand side by side are asked for a tile ahead, others are not."""
    query, key, value = heads(0, m, n, d=3, e=2, dtype=dtype, batch=(2,))
    bias = np.random.default_rng(1).normal(size=(2, m, n)).astype(dtype)
    turned = np.ascontiguousarray(bias.swapaxes(-1, -2)).swapaxes(-1, -2)
    for causal in (False, True):
        in_budget("softmax_attention", query, key, value, bias=bias, causal=causal)
        np.testing.assert_array_equal(
            attlas.softmax_attention(query, key, value, bias=bias, causal=causal),
            attlas.softmax_attention(query, key, value, bias=turned, causal=causal),
        )


# Compilation and the disk cache


def signatures() -> list[int]:
    """How many each compiled function of softmax attention has."""
    made = [kernels for (build, _), kernels in attention._made.items() if build is build_softmax]
    return [len(one.signatures) for kernels in made for one in kernels if hasattr(one, "signatures")]


def test_nothing_compiles_again_for_a_new_shape_stride_or_flag() -> None:
    def calls(m: int, n: int) -> None:
        query, key, value = heads(0, m, n, batch=(2,))
        rng = np.random.default_rng(0)
        masks = None, rng.random((m, n)) < 0.5, rng.random(n) < 0.5, np.ones((2, m, 1), dtype=bool)
        biases = (
            None,
            rng.normal(size=(m, n)).astype(np.float32),
            rng.normal(size=n),
            np.ones((2, 1, 1), dtype=np.int32),
        )
        for mask, bias, causal in itertools.product(masks, biases, (False, True)):
            attlas.softmax_attention(query, key, value, mask=mask, bias=bias, causal=causal, return_weights=True)
        attlas.softmax_attention(query[0], key[..., ::-1, ::-1], value[:, ::-1], scale=0.3, temperature=2.0)
        turned = np.ascontiguousarray(query.mT).mT
        turned.flags.writeable = False
        attlas.memory_efficient_attention(turned, key, np.broadcast_to(value[:1, :, :1], value.shape), key_chunk_size=3)

    calls(5, 7)
    before = signatures()
    calls(130, 260)
    calls(0, 4)
    calls(1, 0)
    assert signatures() == before
    assert max(before) == 1


def test_two_compiled_functions_may_not_share_a_name() -> None:
    """Parts of two kernels under one name would be mixed up by the linker."""

    def twice(x):  # type: ignore[no-untyped-def]
        return x

    def make(constant: float) -> Any:
        def inner(x):  # type: ignore[no-untyped-def]
            return x + constant

        return inner

    kernel(twice, "twice")
    with pytest.raises(ValueError, match="twice"):
        kernel(twice, "twice")
    part(make(1.0), of="one")
    with pytest.raises(ValueError, match="one"):
        part(make(2.0), of="one")


CACHED = """
import sys
import numpy as np
from numba.core import event
import attlas, attlas_ref.dotproduct.softmax_attention as s, attlas_ref.normalizers.sigmoid_attention as g

compiled = []

class Listener(event.Listener):
    def on_start(self, event): compiled.append(event)
    def on_end(self, event): pass

rng = np.random.default_rng(0)
arrays = [rng.normal(size=(40, 8)).astype(np.float32) for _ in range(3)]
for name in sys.argv[1].split(","):
    with event.install_listener("numba:compile", Listener()):
        output = getattr(attlas, name)(*arrays)
    module = s if name == "softmax_attention" else g
    assert np.allclose(output, getattr(module, name)(*arrays), rtol=1e-4, atol=1e-5), name
    print(name, len(compiled))
    compiled.clear()
"""


def run_python(program: str, *arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


def test_kernels_come_from_the_disk_and_do_not_mix(tmp_path: Path) -> None:
    """The second process compiles one kernel and loads another: each runs its own parts."""
    folder = {"ATTLAS_CACHE_DIR": str(tmp_path)}
    (first,) = run_python(CACHED, "softmax_attention", **folder)
    assert first != "softmax_attention 0"
    sigmoid, softmax = run_python(CACHED, "sigmoid_attention,softmax_attention", **folder)
    assert sigmoid != "sigmoid_attention 0"
    assert softmax == "softmax_attention 0"
    again = run_python(CACHED, "softmax_attention,sigmoid_attention", **folder, NUMBA_NUM_THREADS="1")
    assert again == ["softmax_attention 0", "sigmoid_attention 0"]


def test_no_member_of_a_batch_is_left_out_unnoticed() -> None:
    """A mask may have members that no other array has; a batch that lacks them is an error."""
    one, two = np.ones((1, 1)), np.ones((2, 1, 1), dtype=bool)
    problem = operands.lay_out(one, one, one, mask=two, bias=None, diagonal=None, parameters=())
    assert problem.batch == (2,)
    for batch in ((), (1,), (3,)):
        with pytest.raises(ValueError, match=r"leading axes \(2,\) do not broadcast"):
            operands.lay(two, batch)


def test_another_setting_of_the_compiler_has_kernels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compile._fingerprint()
    monkeypatch.setenv("NUMBA_CUDA_WARN_ON_IMPLICIT_COPY", "0")
    assert compile._fingerprint() == before
    monkeypatch.setenv("NUMBA_OPT", "1")
    assert compile._fingerprint() != before


def test_a_cache_that_cannot_be_used_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("ATTLAS_CACHE_DIR", str(file))
    compile.cache_folder.cache_clear()
    try:
        assert compile.cache_folder() is None
        monkeypatch.setenv("ATTLAS_CACHE_DIR", str(tmp_path / "new"))
        compile.cache_folder.cache_clear()
        cache = compile.DiskCache("damaged")
        damaged = cache._file(compile.SIGNATURE)
        assert damaged is not None
        damaged.write_bytes(b"\x80\x05 not a kernel")
        from numba.core.registry import cpu_target

        assert cache.load_overload(compile.SIGNATURE, cpu_target.target_context) is None
    finally:
        compile.cache_folder.cache_clear()


# Threads


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_number_of_threads_and_the_batch_change_no_bit(dtype: Any, num_threads: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(operands, "WORTH_A_THREAD", 0)
    query, key, value = heads(0, 250, 300, batch=(3,), dtype=dtype)
    mask = np.random.default_rng(0).random((250, 300)) < 0.9
    grad_output = np.ones((3, 250, value.shape[-1]), dtype=dtype)
    results = []
    for count in (1, 2, 5):
        num_threads(count)
        results.append(
            (
                attlas.softmax_attention(query, key, value, mask=mask),
                *attlas.softmax_attention_vjp(query, key, value, grad_output, mask=mask),
            )
        )
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)
    for member in range(3):
        alone = attlas.softmax_attention(query[member], key[member], value[member], mask=mask)
        np.testing.assert_array_equal(alone, results[0][0][member])


def by_python(compute: Callable[[int], object]) -> pool.Work:
    def work(turns: Turns) -> None:
        with pool.taken(turns) as tasks:
            for task in tasks:
                compute(task)

    return work


def test_kernels_compute_every_task_once() -> None:
    def mark(start, stop, operands, scratch, results):  # type: ignore[no-untyped-def]
        for task in range(start, stop):
            for _ in range(task % 7):  # some take longer
                results[task] = results[task] * 3 + 1
            results[task] += 1

    marks, table = ready(kernel(mark, "marks")), np.zeros(1, dtype=np.int64)
    alone, together = np.zeros((2, 5000), dtype=np.int64)
    pool.run(5000, lambda: lambda turns: marks(turns, table, table, alone), threads=1)
    assert set(alone) == {1, 2, 5, 14, 41, 122, 365}
    for count in (2, 3, 8):
        together[:] = 0
        pool.run(5000, lambda: lambda turns: marks(turns, table, table, together), count)
        np.testing.assert_array_equal(together, alone)


def test_every_task_is_computed_once_by_threads_of_their_own() -> None:
    done: list[int] = []
    workers: list[int] = []

    def worker() -> pool.Work:
        workers.append(threading.get_ident())
        return by_python(done.append)

    for tasks in (0, 1, 7, 100):
        done.clear(), workers.clear()
        pool.run(tasks, worker, threads=4)
        assert sorted(done) == list(range(tasks))
        assert len(workers) == len(set(workers))


def test_an_error_in_a_task_is_raised_and_the_pool_lives_on() -> None:
    def worker() -> pool.Work:
        def work(task: int) -> None:
            if task >= 20:
                raise ArithmeticError(f"task {task}")

        return by_python(work)

    with pytest.raises(ArithmeticError, match="task"):
        pool.run(100, worker, threads=3)
    seen: list[int] = []
    pool.run(10, lambda: by_python(seen.append), threads=3)
    assert sorted(seen) == list(range(10))


def test_a_call_does_not_wait_for_helpers_that_are_busy() -> None:
    release, entered = threading.Event(), threading.Barrier(3)

    def blocked() -> pool.Work:
        def work(task: int) -> None:
            entered.wait()
            release.wait()

        return by_python(work)

    slow = threading.Thread(target=pool.run, args=(2, blocked, 2))
    slow.start()
    entered.wait()  # the only helper, or one of them, is taken
    finished: list[int] = []
    pool.run(6, lambda: by_python(finished.append), threads=2)
    assert sorted(finished) == list(range(6))
    release.set()
    slow.join()


def test_helpers_are_as_quiet_as_the_caller() -> None:
    both = threading.Barrier(2)

    def worker() -> pool.Work:
        def work(task: int) -> None:
            both.wait(10)
            np.array([1e300]).astype(np.float32)  # an overflow, as of a bias that hides a pair

        return by_python(work)

    with np.errstate(all="ignore"):
        pool.run(2, worker, threads=2)


def test_num_threads_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, num_threads: Any) -> None:
    monkeypatch.setenv("ATTLAS_NUM_THREADS", "3")
    assert threads.get_num_threads() == 3
    num_threads(2)
    assert threads.get_num_threads() == 2
    num_threads(None)
    monkeypatch.setenv("ATTLAS_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="ATTLAS_NUM_THREADS"):
        threads.get_num_threads()
    with pytest.raises(ValueError, match="threads"):
        num_threads(0)


# Memory


def test_memory_does_not_grow_with_the_product_of_the_lengths(num_threads: Any) -> None:
    num_threads(2)
    m = n = 8000
    query, key, value = heads(0, m, n, d=1, e=1)
    bias = np.zeros((m, n))  # float64: converted block by block
    mask = np.ones((m, n), dtype=bool)
    options: dict[str, Any] = {"mask": mask, "bias": bias}
    grad_output = np.ones((m, 1), dtype=np.float32)
    calls: list[Callable[[], Any]] = [
        lambda: attlas.softmax_attention(query, key, value, **options),
        lambda: attlas.attention_energy(query, key, **options),
        lambda: attlas.sigmoid_attention(query, key, value, **options),
        lambda: attlas.softmax_attention_vjp(query, key, value, grad_output, **options),
    ]
    # Two threads, each with a block of the bias as it came and as it is converted; as much again for the linear rest.
    block = operands.QUERIES_PER_BLOCK * n * (4 + 8)
    assert 4 * block < m * n
    for call in calls:
        assert peak_of(call) < 4 * block


def test_places_that_are_too_many_to_be_remembered_are_found_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(3).normal(size=(3, 2, 5, 9, 4))
    query, key, value = rows[0], rows[1, :, ::-1], rows[2, :1, :, ::2].repeat(2, axis=-2)[..., :9, :]
    remembered = attlas.softmax_attention(query, key, value)
    monkeypatch.setattr(operands, "REMEMBERED_MEMBERS", 0)
    assert attlas.softmax_attention(query, key, value).tobytes() == remembered.tobytes()
    expected = attlas_ref.softmax_attention(query, key, value)
    np.testing.assert_allclose(remembered, expected, rtol=1e-12, atol=1e-12)
