"""Paths through a matrix, as lists of cells."""

import numpy as np

Cells = tuple[tuple[int, int], ...]


def total(matrix: np.ndarray, cells: Cells) -> float:
    return float(sum(matrix[cell] for cell in cells))


def as_matrix(cells: Cells, shape: tuple[int, ...]) -> np.ndarray:
    path = np.zeros(shape, dtype=np.int64)
    for cell in cells:
        path[cell] = 1
    return path
