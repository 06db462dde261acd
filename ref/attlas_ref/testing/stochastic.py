r"""Arithmetic with rounding errors made visible.

How much error may a correct program make? In Monte Carlo arithmetic (Parker, 1997) every result of an operation is
moved by about one unit in its last place, up or down at random, and the formula is run a few times. What changes
between the runs is what rounding decides; what does not change does not depend on it. Nothing about the formula has
to be known, and it works in the widest precision too, where nothing better is at hand to compare with.

`noisy` makes an array whose arithmetic behaves so. Sums and matrix products move their terms and their result, so that
cancellation is felt with the size of the terms. What LAPACK does cannot be looked into: its backward error is taken
for that of a matrix whose entries have each been rounded as often as there are entries. What is exact stays exact:
zeros, infinities, maxima, signs, choices.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT = {
    *(np.maximum, np.minimum, np.fmax, np.fmin, np.clip),
    *(np.negative, np.positive, np.absolute, np.sign, np.copysign),
    *(np.floor, np.ceil, np.rint, np.trunc, np.ldexp, np.frexp, np.heaviside),
}
"""Operations without rounding."""

FACTORIZATIONS = {np.linalg.pinv, np.linalg.eigh, np.linalg.lstsq, np.linalg.solve}
"""Functions of LAPACK that references call."""

CONTRACTIONS = {np.einsum, np.tensordot, np.dot, np.inner, np.vdot, np.mean, np.sum, np.cumsum}
"""Functions, beside the ufuncs `matmul` and `add.reduce`, that multiply and add many terms."""


def perturbed(array: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Move every entry of a floating array by about one unit in the last place; other arrays come back as they are.

    >>> x = np.array([1.0, 0.0, -np.inf])
    >>> moved = perturbed(x, np.random.default_rng(1))
    >>> (moved == x).tolist(), bool(abs(moved[0] - 1) == np.finfo(float).eps)
    ([False, True, True], True)
    """
    if array.dtype.kind != "f":
        return array
    up = rng.integers(0, 2, array.shape, dtype=np.int8)
    return np.asarray(array * _down_and_up(array.dtype)[up])


@cache
def _down_and_up(dtype: np.dtype[Any]) -> NDArray[Any]:
    """The two factors that move a number by about one unit in the last place."""
    unit = np.finfo(dtype).eps
    return np.array([1 - unit, 1 + unit], dtype=dtype)


def noisy(array: Any, rng: np.random.Generator, *, exact: bool = False) -> Any:
    """Return a copy of an array, itself moved by one unit, in whose arithmetic every result is moved again.

    The entries of an `exact` array stay as they are; of a tuple every part is made noisy, and None stays None.
    """
    if isinstance(array, tuple):
        return tuple(noisy(part, rng, exact=exact) for part in array)
    if array is None:
        return None
    copy = np.array(array)
    with np.errstate(all="ignore"):
        result = (copy if exact else perturbed(copy, rng)).view(NoisyArray)
    result.rng = rng
    return result


class NoisyArray(np.ndarray):
    """An array in Monte Carlo arithmetic; made by `noisy`."""

    rng: np.random.Generator

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, NoisyArray):
            self.rng = source.rng

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        rng = self._generator(inputs)
        plain = [_plain(value) for value in inputs]
        summing = ufunc is np.matmul or method != "__call__"
        if summing and ufunc not in EXACT:
            plain = [perturbed(value, rng) if isinstance(value, np.ndarray) else value for value in plain]
        if out is not None:
            kwargs["out"] = tuple(_plain(value) for value in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if out is not None:
            if ufunc not in EXACT:
                for target in kwargs["out"]:
                    target[...] = perturbed(target, rng)
            return out[0] if len(out) == 1 else out
        return self._wrap(result, rng, exact=ufunc in EXACT)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        rng = self._generator(args)
        rounds = function in CONTRACTIONS or function in FACTORIZATIONS

        def unwrap(array: Any) -> Any:
            array = np.asarray(array)
            steps = math.prod(array.shape[-2:]) if function in FACTORIZATIONS else int(rounds)
            for _ in range(steps):
                array = perturbed(array, rng)
            return array

        result = function(*_map(args, unwrap), **_map(kwargs, unwrap))
        return self._wrap(result, rng, exact=not rounds)

    def _generator(self, values: Any) -> np.random.Generator:
        mine = getattr(self, "rng", None)
        return mine if mine is not None else next(value.rng for value in values if hasattr(value, "rng"))

    def _wrap(self, result: Any, rng: np.random.Generator, exact: bool) -> Any:
        if isinstance(result, (tuple, list)):
            parts = [self._wrap(part, rng, exact) for part in result]
            return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
        if not isinstance(result, (np.ndarray, np.generic)):
            return result
        array = np.asarray(result)
        wrapped = (array if exact else perturbed(array, rng)).view(NoisyArray)
        wrapped.rng = rng
        return wrapped


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, NoisyArray) else value


def _map(value: Any, unwrap: Any) -> Any:
    if isinstance(value, NoisyArray):
        return unwrap(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_map(part, unwrap) for part in value)
    if isinstance(value, dict):
        return {key: _map(part, unwrap) for key, part in value.items()}
    return value
