"""Squares of numbers (see `turning`) on their way from and to arrays.

The rows of an array stand wherever a table of places says, and the last ones may be missing or short.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .turning import turned
from .vector import HOST

_INT, _BIT = ir.IntType(64), ir.IntType(1)


class _Square:
    """Makes the instructions for one square of numbers of one type."""

    def __init__(self, context: Any, builder: Any, number: Any) -> None:
        self.builder = builder
        self.size = number.bitwidth // 8
        self.width = HOST.bytes // self.size
        self.scalar = context.get_data_type(number)
        self.vector = ir.VectorType(self.scalar, self.width)
        self.mask = ir.VectorType(_BIT, self.width)

    def place(self, memory: Any, *steps: Any) -> Any:
        """A pointer to a row, so many numbers further on."""
        at = steps[0]
        for step in steps[1:]:
            at = self.builder.add(at, step)
        return self.builder.bitcast(self.builder.gep(memory, [at]), self.vector.as_pointer())

    def first(self, count: Any) -> Any:
        """The lanes before a count."""
        lanes = ir.VectorType(_INT, self.width)
        everywhere = self.builder.insert_element(ir.Constant(lanes, ir.Undefined), count, ir.Constant(_INT, 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), None)
        everywhere = self.builder.shuffle_vector(everywhere, everywhere, zeros)
        return self.builder.icmp_signed("<", ir.Constant(lanes, list(range(self.width))), everywhere)

    def row_of(self, places: Any, row: int, rows: Any) -> tuple[Any, Any]:
        """Where a row stands, and whether there is one; a missing one stands where the last does."""
        row = ir.Constant(_INT, row)
        there = self.builder.icmp_signed("<", row, rows)
        last = self.builder.sub(rows, ir.Constant(_INT, 1))
        return self.builder.load(self.builder.gep(places, [self.builder.select(there, row, last)])), there

    def _masked(self, what: str, result: Any, *parameters: Any) -> Any:
        name = f"llvm.masked.{what}.v{self.width}f{self.size * 8}.p0"
        return self.builder.module.globals.get(name) or ir.Function(
            self.builder.module, ir.FunctionType(result, parameters), name
        )

    def load(self, place: Any, lanes: Any) -> Any:
        """Some lanes of a row, and 0 in the others."""
        pointer, number = self.vector.as_pointer(), ir.IntType(32)
        function = self._masked("load", self.vector, pointer, number, self.mask, self.vector)
        size = ir.Constant(number, self.size)
        return self.builder.call(function, [place, size, lanes, ir.Constant(self.vector, None)])

    def store(self, row: Any, place: Any, lanes: Any) -> None:
        """Set some lanes of a row."""
        pointer, number = self.vector.as_pointer(), ir.IntType(32)
        function = self._masked("store", ir.VoidType(), self.vector, pointer, number, self.mask)
        self.builder.call(function, [row, place, ir.Constant(number, self.size), lanes])


@intrinsic
def load_square(typing: Any, out: Any, out_row: Any, memory: Any, places: Any, at: Any, rows: Any, columns: Any) -> Any:
    """out[column, row] = memory[places[row] + at + column]; what is missing from the square may become anything.

    There is at least one row, and `out` has memory for a whole square.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, out_row, memory, places, at, rows, columns = arguments
        square = _Square(context, builder, signature.args[0].dtype)
        lanes = square.first(columns)
        starts = [square.row_of(places, row, rows)[0] for row in range(square.width)]
        loaded = [square.load(square.place(memory, start, at), lanes) for start in starts]
        for column, line in enumerate(turned(builder, loaded)):
            target = square.place(out, builder.mul(out_row, ir.Constant(_INT, column)))
            builder.store(line, target, align=square.size)
        return context.get_dummy_value()

    i = types.int64
    return types.void(out, i, memory, places, i, i, i), generate


@intrinsic
def store_square(typing: Any, memory: Any, places: Any, at: Any, rows: Any, columns: Any, x: Any, x_row: Any) -> Any:
    """memory[places[row] + at + column] = x[column, row], for the rows and columns that there are.

    There is at least one row, and a whole square of `x` can be read.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory, places, at, rows, columns, x, x_row = arguments
        square = _Square(context, builder, signature.args[0].dtype)
        lanes, none = square.first(columns), ir.Constant(square.mask, None)
        sources = [square.place(x, builder.mul(x_row, ir.Constant(_INT, c))) for c in range(square.width)]
        loaded = [builder.load(source, align=square.size) for source in sources]
        for row, line in enumerate(turned(builder, loaded)):
            start, there = square.row_of(places, row, rows)
            square.store(line, square.place(memory, start, at), builder.select(there, lanes, none))
        return context.get_dummy_value()

    i = types.int64
    return types.void(memory, places, i, i, i, x, i), generate
