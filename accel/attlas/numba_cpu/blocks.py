"""The parts of a tile besides its products: packing, visibility, bias, careful sums.

A tile is (rows, lanes) in contiguous scratch. In the passes over queries the lanes are queries and the rows keys; in
the pass over keys it is the other way round. Lanes are padded to whole vectors; what padded lanes hold is never read
back, so they may hold anything.
"""

from typing import Any

from .compile import part
from .turning import side_of, turn


def _fill(array, count, value):
    """Set the first so many entries."""
    for i in range(count):
        array[i] = value


def _turned(x, x_at, x_row, y, y_at, y_row, rows, columns):
    """Set x[column, row] = y[row, column] in whole squares, where there is room for one; returns whether there was.

    The last square of a line overlaps the one before it.
    """
    side = side_of(x, y)
    if side == 0 or rows < side or columns < side:
        return False
    row = 0
    while row < rows:
        row = min(row, rows - side)
        column = 0
        while column < columns:
            column = min(column, columns - side)
            turn(x, x_at + column * x_row + row, x_row, y, y_at + row * y_row + column, y_row)
            column += side
        row += side
    return True


turned: Any = part(_turned)


def _pack(x, matrix, at, used, lanes, rows, empty):
    """Set a matrix's rows side by side: x[row, lane] = matrix[lane, row], and `empty` in padded lanes."""
    lane = 0
    if matrix.column == 1 and turned(x, 0, lanes, matrix.memory, at, matrix.row, used, rows):
        lane = used
    while lane + 4 <= used:  # four at a time: a few streams to read, and less scattered writing
        start = at + lane * matrix.row
        second, third, fourth = start + matrix.row, start + 2 * matrix.row, start + 3 * matrix.row
        for row in range(rows):
            along = row * matrix.column
            target = row * lanes + lane
            x[target] = matrix.memory[start + along]
            x[target + 1] = matrix.memory[second + along]
            x[target + 2] = matrix.memory[third + along]
            x[target + 3] = matrix.memory[fourth + along]
        lane += 4
    while lane < used:
        start = at + lane * matrix.row
        for row in range(rows):
            x[row * lanes + lane] = matrix.memory[start + row * matrix.column]
        lane += 1
    if used < lanes:
        for row in range(rows):
            for padded in range(row * lanes + used, (row + 1) * lanes):
                x[padded] = empty


def _set_rows(matrix, at, row, x, used, lanes, columns):
    """The way back into rows so far apart, from `at` on: matrix[lane, column] = x[column, lane]."""
    column = 0
    if turned(matrix, at, row, x, 0, lanes, columns, used):
        column = columns
    while column + 4 <= columns:
        start = column * lanes
        second, third, fourth = start + lanes, start + 2 * lanes, start + 3 * lanes
        for lane in range(used):
            target = at + lane * row + column
            matrix[target] = x[start + lane]
            matrix[target + 1] = x[second + lane]
            matrix[target + 2] = x[third + lane]
            matrix[target + 3] = x[fourth + lane]
        column += 4
    while column < columns:
        for lane in range(used):
            matrix[at + lane * row + column] = x[column * lanes + lane]
        column += 1


set_rows: Any = part(_set_rows)


def _unpack(matrix, at, x, used, lanes, columns):
    """The way back into contiguous rows."""
    set_rows(matrix, at, columns, x, used, lanes, columns)


fill: Any = part(_fill)
pack: Any = part(_pack)
unpack: Any = part(_unpack)


def _see(visible, operands, at, rows, used, lanes, diagonal, all_past):
    """Note which pairs of a tile are visible, and return how many of the pairs in use are hidden.

    A pair is visible iff the mask allows it and, unless the tile lies wholly in the past, order * (row - lane) <=
    diagonal: the causal rule, seen from the corner of the tile. A padded lane is visible.
    """
    size, mask = operands.size, operands.mask
    if size.has_mask:
        pack(visible, mask, at, used, lanes, rows, 1)
    else:
        fill(visible, rows * lanes, 1)
    if not all_past:
        for row in range(rows):
            for lane in range(used):
                past = size.order * (row - lane) <= diagonal
                visible[row * lanes + lane] = visible[row * lanes + lane] if past else 0
    seen = 0
    for i in range(rows * lanes):
        seen += visible[i] != 0
    return rows * lanes - seen


def _hide(tile, visible, count, value):
    """Put a value where a pair is hidden."""
    for i in range(count):
        tile[i] = tile[i] if visible[i] else value


def _squares(squares, matrix, at, rows, width, zero):
    """The squared length of each row of a matrix."""
    for row in range(rows):
        start = at + row * matrix.row
        total = zero
        for column in range(width):
            number = matrix.memory[start + column * matrix.column]
            total += number * number
        squares[row] = total


def _all_finite(matrix, at, rows, columns):
    """Whether a block holds neither NaN nor infinity."""
    strange = 0
    for row in range(rows):
        start = at + row * matrix.row
        for column in range(columns):
            number = matrix.memory[start + column * matrix.column]
            strange += number - number != 0
    return strange == 0


def _careful_add(out, x, matrix, at, width, steps, lanes, rescale, visible, line, zero):
    """`multiply_add` where numbers that are not finite take part for the lanes that see their step only.

    The order of the sums is that of `multiply_add`: what is hidden changes not even the last bit.
    """
    for column in range(width):
        for lane in range(lanes):
            line[lane] = zero
        for step in range(steps):
            number = matrix.memory[at + column * matrix.column + step * matrix.row]
            start = step * lanes
            if number - number == 0:
                for lane in range(lanes):
                    line[lane] += x[start + lane] * number
            else:
                for lane in range(lanes):
                    line[lane] += x[start + lane] * number if visible[start + lane] else zero
        for lane in range(lanes):
            out[column * lanes + lane] = out[column * lanes + lane] * rescale[lane] + line[lane]


see: Any = part(_see)
hide: Any = part(_hide)
squares: Any = part(_squares)
all_finite: Any = part(_all_finite)
careful_add: Any = part(_careful_add)
