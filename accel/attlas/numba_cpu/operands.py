"""From arrays to what a kernel reads, and the driver of a kernel's tasks.

The leading axes become one batch axis by a table of offsets; no array is copied, converted or expanded, with these
exceptions: an array whose strides are no whole number of elements, or that is not aligned; a bias of another
precision, which is converted whole if it is no larger than the other arrays together, else one block of queries (or
keys) at a time.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..layout import broadcast, layout_of
from ..threads import get_num_threads
from . import pool
from .compile import ready
from .pointers import PARAMETERS, Matrix, Scratch, Sizes
from .tile import KEYS_PER_BLOCK, QUERIES_PER_BLOCK
from .turns import Turns, only
from .vector import LINE, lanes_of

Array = NDArray[Any]

WORTH_A_THREAD = 2**21
"""Multiply-adds below which handing work to another thread costs more than it saves."""

REMEMBERED_MEMBERS = 1024
"""Of a batch; the places of more are found anew by every call, so that not much memory is kept."""


ORDER = ("query", "key", "value", "gradient", "bias", "extra", "mask")
"""Of the matrices in the table of operands."""


class Laid(NamedTuple):
    """One array as a kernel finds it."""

    array: Array
    """Held alive, for its memory."""
    address: int
    """Of its lowest entry."""
    places: Array
    places_address: int
    row: int
    column: int

    @property
    def entries(self) -> tuple[int, int, int, int]:
        """Its entries in the table of operands: those of a `Matrix`."""
        return self.address, self.places_address, self.row, self.column


@dataclass(frozen=True)
class Problem:
    """One call, laid out: what is the same for all its kernels."""

    matrices: dict[str, Laid]
    parameters: Array
    size: Sizes
    batch: tuple[int, ...]
    late_bias: Array | None
    """A bias that is still to be converted, block by block."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the kernel."""
        return self.parameters.dtype

    @property
    def members(self) -> int:
        """The number of batch members."""
        return math.prod(self.batch)

    def new(self, *inner: int) -> Array:
        """An array of results (batch..., inner...)."""
        return np.empty((*self.batch, *inner), dtype=self.dtype)

    def table(self) -> Array:
        """The table of operands; the problem keeps alive what it points to."""
        entries = [number for name in ORDER for number in self.matrices[name].entries]
        return np.array([*entries, address_of(self.parameters), *self.size], dtype=np.int64)


def lay_out(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    bias: Array | None,
    diagonal: int | None,
    gradient: Array | None = None,
    extra: Array | None = None,
    batch: tuple[int, ...] | None = None,
    order: int = 1,
    parameters: tuple[float, ...],
    divide: bool = False,
    selects: bool = False,
    finite: bool | None = None,
    queries_per_block: int | None = None,
    keys_per_block: int | None = None,
) -> Problem:
    """Lay a call out.

    `diagonal` None: nothing is causal. `batch`: the leading axes, if not those of the arrays. Block sizes given are
    upper bounds. `selects`: the formulation itself hides keys. `finite` False: leave it to the kernel to look for
    numbers that are not, where pairs are hidden; None: look at all. With order -1, the caller has swapped the roles of
    queries and keys (and transposed mask and bias).
    """
    dtype = query.dtype
    m, d = query.shape[-2:]
    n, e = value.shape[-2:]
    arrays = [query, key, value] + ([] if gradient is None else [gradient])
    if batch is None:
        batch = broadcast(*(array.shape[:-2] for array in (*arrays, mask, bias, extra) if array is not None))
    late_bias = None
    if bias is not None and bias.dtype != dtype:
        if bias.size <= sum(array.size for array in arrays):
            bias = bias.astype(dtype)
        else:
            late_bias = np.broadcast_to(bias, batch + (bias.shape if bias.ndim > 1 else (1, *bias.shape))[-2:])
            bias = None
    named = {"query": query, "key": key, "value": value, "gradient": gradient, "bias": bias, "extra": extra}
    named["mask"] = mask
    nothing = laid_nothing(math.prod(batch))
    matrices = {name: nothing if array is None else lay(array, batch) for name, array in named.items()}
    hides = mask is not None or diagonal is not None or selects
    size = Sizes(
        m=m,
        n=n,
        d=d,
        e=e,
        queries=max(1, min(QUERIES_PER_BLOCK, queries_per_block or m, m)),
        keys=max(1, min(KEYS_PER_BLOCK, keys_per_block or n, n)),
        width=lanes_of(dtype),
        order=order,
        diagonal=m + n if diagonal is None else max(-m - n, min(diagonal, m + n)),
        has_mask=mask is not None,
        has_bias=bias is not None or late_bias is not None,
        finite=not hides or (all(_finite(array) for array in arrays) if finite is None else finite),
        divide=divide,
    )
    own = np.zeros(PARAMETERS, dtype=dtype)
    own[: len(parameters)] = parameters
    return Problem(matrices, own, size, batch, late_bias)


def lay(array: Array, batch: tuple[int, ...]) -> Laid:
    """Lay one array out."""
    if array.ndim < 2:
        array = array.reshape((1,) * (2 - array.ndim) + array.shape)
    find = _where if math.prod(batch) <= REMEMBERED_MEMBERS else _where.__wrapped__
    found = find(array.shape, array.strides, array.itemsize, batch) if array.flags.aligned else None
    if found is None:
        array = array.copy()
        found = find(array.shape, array.strides, array.itemsize, batch)
        assert found is not None
    return Laid(array, address_of(array) + found[0], *found[1:])


@lru_cache(maxsize=256)
def _where(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, batch: tuple[int, ...]
) -> tuple[int, Array, int, int, int] | None:
    """Where an array stands: its lowest entry in bytes from the first, then what `Laid` holds behind the address."""
    layout = layout_of(shape, strides, itemsize, batch)
    if layout is None:
        return None
    layout.offsets.flags.writeable = False
    return layout.lowest * itemsize, layout.offsets, address_of(layout.offsets), layout.row, layout.column


def lean(array: Array) -> Array:
    """View an array without the repetitions along its leading axes: there, a broadcast axis has size 1."""
    if not array.size:  # strides of nothing say nothing
        return array
    return array[tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides[:-2])]


@lru_cache(maxsize=64)
def laid_nothing(members: int) -> Laid:
    """What stands in the table for an array that is not there."""
    places = np.zeros(members, dtype=np.int64)
    return Laid(np.empty((0, 0)), 0, places, address_of(places), 0, 0)


def address_of(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def empty_in_line(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A new array of anything that begins with a line of the cache."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + LINE, dtype=np.uint8)
    first = -address_of(memory) % LINE
    return memory[first : first + size].view(dtype).reshape(shape)


def _finite(array: Array) -> bool:
    """Whether all entries are surely finite; a sum is cheap, and its overflow merely costs time later."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()))


class Pieces:
    """Scratch memory for so many numbers each; `table` says where each piece begins.

    It is one array, and each piece begins with a line of the cache, so that no vector straddles two.
    """

    def __init__(self, counts: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        starts, end = _starts(counts, dtype.itemsize)
        self.memory = np.empty(end + LINE, dtype=np.uint8)
        address = address_of(self.memory)
        self.table = starts + (address + -address % LINE)


@lru_cache(maxsize=256)
def _starts(counts: tuple[int, ...], itemsize: int) -> tuple[Array, int]:
    """Where pieces of so many numbers begin, and where the last ends, in bytes."""
    *starts, end = accumulate((-(-count * itemsize // LINE) * LINE for count in counts), initial=0)
    return np.array(starts, dtype=np.int64), end


class Workspace(Pieces):
    """The scratch memory of one thread: O(block · (d + e + block)) numbers.

    `rows`: of the scores, if not those of one block of keys. `heads`: whose queries and sums stand side by side. Its
    table lists where the fields of `Scratch` stand, and then where the formulation's `own` parts do, of which the sizes
    are given per lane.
    """

    def __init__(
        self,
        size: Sizes,
        dtype: np.dtype[Any],
        rows: int | None = None,
        heads: int = 1,
        own: tuple[int, ...] = (),
    ) -> None:
        super().__init__(_counts(size, rows, heads, own), dtype)


@lru_cache(maxsize=256)
def _counts(size: Sizes, rows: int | None, heads: int, own: tuple[int, ...]) -> tuple[int, ...]:
    """How many numbers each piece of a workspace holds."""
    lanes = -(-size.queries // size.width) * size.width
    tile = (size.keys if rows is None else rows) * lanes
    counts = Scratch(
        packed=heads * size.d * lanes,
        scores=tile,
        bias=size.keys * lanes if size.has_bias else 0,
        sums=heads * size.e * lanes,
        packed_gradient=size.e * lanes,
        slopes=tile,
        grads=size.d * lanes,
        maximum=heads * lanes,
        total=heads * lanes,
        before=lanes,
        mean=lanes,
        estimate=lanes,
        shift=lanes,
        rescale=lanes,
        line=lanes,
        lane_squares=lanes,
        row_squares=size.keys,
        visible=tile,
    )
    return (*counts, *(rows * lanes for rows in own))


def over_queries(problem: Problem, kernel: Any, *results: Array | None, together: int = 1, **options: Any) -> None:
    """Run a kernel over all blocks of queries of all batch members; see `over_tasks`.

    `together`: how many batch members are one task: 1, or as many as the last leading axis holds.
    """
    tasks = problem.members // max(together, 1) * -(-problem.size.m // problem.size.queries)
    over_tasks(problem, kernel, tasks, *results, together=together, **options)


def over_tasks(
    problem: Problem,
    kernel: Any,
    tasks: int,
    *results: Array | None,
    together: int = 1,
    rows: int | None = None,
    per_pair: int = 0,
    own: tuple[int, ...] = (),
    numbers: tuple[int, ...] = (),
) -> None:
    """Run a kernel over so many tasks, as many for each batch member; it writes into contiguous results.

    Parameters
    ----------
    problem : Problem
        The call.
    kernel : kernel
        What computes a range of tasks.
    tasks : int
        How many there are.
    results : arrays
        What it writes.
    together : int, default 1
        How many batch members are one task.
    rows : int, optional
        Of the scratch for scores, if not those of one block of keys.
    per_pair : int
        What a pair costs beside its products, in multiply-adds.
    own : tuple of int
        Scratch of the kernel's own, in numbers per lane.
    numbers : tuple of int
        More for the kernel to know; they follow the addresses of the results.
    """
    size = problem.size
    blocks = max(1, tasks * max(together, 1) // max(1, problem.members))
    addresses = [0 if result is None else address_of(result) for result in results]
    outcome = np.array([*addresses, *numbers], dtype=np.int64)
    operands = problem.table()
    ready(kernel)

    def worker() -> pool.Work:
        workspace = Workspace(size, problem.dtype, rows, own=own)

        def work(turns: Turns) -> None:
            if problem.late_bias is None:
                kernel(turns, operands, workspace.table, outcome)
                return
            with pool.taken(turns) as tasks:
                for task in tasks:
                    group, block = divmod(task, blocks)
                    bias = _bias_of(problem, problem.late_bias, group, together, block * size.queries)
                    table = operands.copy()
                    at = ORDER.index("bias") * len(Matrix._fields)
                    table[at : at + len(Matrix._fields)] = bias.entries
                    kernel(only(task), table, workspace.table, outcome)

        return work

    multiply_adds = problem.members * size.m * size.n * (size.d + size.e + per_pair)
    pool.run(tasks, worker, get_num_threads() if multiply_adds >= WORTH_A_THREAD else 1, multiply_adds)


def _bias_of(problem: Problem, bias: Array, group: int, together: int, first: int) -> Laid:
    """The bias of one block of queries in the right precision, laid out as if it were part of the whole."""
    outer = problem.batch if together == 1 else problem.batch[:-1]
    own = bias[np.unravel_index(group, outer)] if outer else bias
    stretched = own.shape[-2] == 1
    own = own if stretched else own[..., first : first + problem.size.queries, :]
    if together > 1 and own.strides[0] == 0:
        own = own[:1]  # one for all
    laid = lay(np.array(own, dtype=problem.dtype, order="C"), (together,))
    places = np.zeros(problem.members, dtype=np.int64)
    places[group * together : (group + 1) * together] = laid.places - (0 if stretched else first * laid.row)
    return laid._replace(places=places, places_address=address_of(places))
