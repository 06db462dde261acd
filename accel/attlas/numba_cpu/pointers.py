"""What a kernel sees of memory: plain pointers.

A kernel takes no arrays but tables of whole numbers (addresses, strides, sizes) and turns them into the named tuples
below. So it has one signature whatever it is called with, a call costs a few microseconds however many arrays take
part, and it compiles several times faster than with Numba's arrays, whose reference counts and negative indices cost
instructions everywhere. The caller keeps the arrays alive.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import part


class Sizes(NamedTuple):
    """The sizes and flags of a call, all whole numbers."""

    m: int
    n: int
    d: int
    e: int
    queries: int
    """Per block."""
    keys: int
    """Per block."""
    width: int
    """Numbers per vector."""
    order: int
    """1 where lanes are queries and rows keys; -1 where everything is swapped: m counts keys, n queries."""
    diagonal: int
    """A pair is visible only if order * (row - lane) <= diagonal; m + n where nothing is causal."""
    has_mask: int
    has_bias: int
    finite: int
    """Whether every number that is summed with weights is known to be finite."""
    divide: int
    """Whether the output is divided by the sum of the weights."""


class Matrix(NamedTuple):
    """An array (batch..., rows, columns) in memory."""

    memory: Any
    """From its lowest entry on."""
    places: Any
    """(batch,): where each batch member's entry (0, 0) stands."""
    row: int
    """The step from row to row."""
    column: int
    """The step from column to column."""


class Operands(NamedTuple):
    """What a kernel reads."""

    query: Any
    key: Any
    value: Any
    gradient: Any
    bias: Any
    extra: Any
    """Numbers of the formulation's own, per query, per key or per column."""
    mask: Any
    parameters: Any
    """The formulation's own numbers: `PARAMETERS` of them."""
    size: Any


class Scratch(NamedTuple):
    """What one thread writes besides its results."""

    packed: Any
    """(d, lanes): the queries of the block, side by side."""
    scores: Any
    """(rows, lanes); the rows are those of a block of keys, or as many as the host asked for."""
    bias: Any
    """(rows, lanes)."""
    sums: Any
    """(e, lanes): the accumulator."""
    packed_gradient: Any
    """(e, lanes), like the two that follow for gradients only."""
    slopes: Any
    """(rows, lanes)."""
    grads: Any
    """(d, lanes)."""
    maximum: Any
    """(lanes,), like the eight that follow."""
    total: Any
    before: Any
    mean: Any
    estimate: Any
    shift: Any
    rescale: Any
    line: Any
    lane_squares: Any
    row_squares: Any
    """(rows,)."""
    visible: Any
    """(rows, lanes) bytes."""


def pointer_to(element: types.Type) -> Any:
    """Make the function that turns an address into a pointer to numbers of a type."""

    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    return pointer


bytes_at = pointer_to(types.uint8)
places_at = pointer_to(types.int64)
reals_at = {4: pointer_to(types.float32), 8: pointer_to(types.float64)}
"""By the bytes of a number."""


@intrinsic
def moved(typing: Any, pointer: Any, count: Any) -> Any:
    """A pointer, so many elements further on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic
def ask(typing: Any, pointer: Any, at: Any) -> Any:
    """Ask the caches for the line of an element, which may lie outside of the array, and go on at once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        to_read, second_level, data = (ir.Constant(number, flag) for flag in (0, 2, 1))
        builder.call(prefetch, [place, to_read, second_level, data])
        return context.get_dummy_value()

    return types.void(pointer, types.int64), generate


def _tile_at(scratch, at):
    """The scratch of a tile that begins so many numbers into its block."""
    return Scratch(
        scratch.packed, moved(scratch.scores, at), scratch.bias, scratch.sums, scratch.packed_gradient,
        moved(scratch.slopes, at), scratch.grads, scratch.maximum, scratch.total, scratch.before, scratch.mean,
        scratch.estimate, scratch.shift, scratch.rescale, scratch.line, scratch.lane_squares, scratch.row_squares,
        moved(scratch.visible, at),
    )  # fmt: skip


def _head_at(scratch, head, d, e, lanes):
    """The scratch of one of several heads, each with queries, sums, maximum and total of its own."""
    return Scratch(
        moved(scratch.packed, head * d * lanes), scratch.scores, scratch.bias, moved(scratch.sums, head * e * lanes),
        scratch.packed_gradient, scratch.slopes, scratch.grads, moved(scratch.maximum, head * lanes),
        moved(scratch.total, head * lanes), scratch.before, scratch.mean, scratch.estimate, scratch.shift,
        scratch.rescale, scratch.line, scratch.lane_squares, scratch.row_squares, scratch.visible,
    )  # fmt: skip


tile_at: Any = part(_tile_at, inline=True)
head_at: Any = part(_head_at, inline=True)

PARAMETERS = 4
_MATRIX = len(Matrix._fields)
SIZES_AT = 7 * _MATRIX + 1
"""Where the sizes begin in the table of operands: after seven matrices and the parameters."""


def build_open(itemsize: int) -> tuple[Any, Any]:
    """Make the functions that turn the tables of a call into `Operands` and `Scratch`."""
    reals = reals_at[itemsize]

    def matrix(table, at):
        return Matrix(reals(table[at]), places_at(table[at + 1]), table[at + 2], table[at + 3])

    matrix = part(matrix, of=f"{itemsize} bytes")

    def numbers(pointer):
        return pointer[0], pointer[1], pointer[2], pointer[3]

    numbers = part(numbers, of=f"{itemsize} bytes")

    def operands(table):
        at = 6 * _MATRIX
        s = SIZES_AT
        return Operands(
            matrix(table, 0),
            matrix(table, _MATRIX),
            matrix(table, 2 * _MATRIX),
            matrix(table, 3 * _MATRIX),
            matrix(table, 4 * _MATRIX),
            matrix(table, 5 * _MATRIX),
            Matrix(bytes_at(table[at]), places_at(table[at + 1]), table[at + 2], table[at + 3]),
            numbers(reals(table[s - 1])),
            Sizes(
                table[s], table[s + 1], table[s + 2], table[s + 3], table[s + 4], table[s + 5], table[s + 6],
                table[s + 7], table[s + 8], table[s + 9], table[s + 10], table[s + 11], table[s + 12],
            ),
        )  # fmt: skip

    def scratch(table):
        return Scratch(
            reals(table[0]), reals(table[1]), reals(table[2]), reals(table[3]), reals(table[4]), reals(table[5]),
            reals(table[6]), reals(table[7]), reals(table[8]), reals(table[9]), reals(table[10]), reals(table[11]),
            reals(table[12]), reals(table[13]), reals(table[14]), reals(table[15]), reals(table[16]),
            bytes_at(table[17]),
        )  # fmt: skip

    return part(operands, of=f"{itemsize} bytes"), part(scratch, of=f"{itemsize} bytes")
