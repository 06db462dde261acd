r"""How large an error may be: a bound that is computed, not chosen.

Three evaluations of one formulation on the same inputs, which are taken as exact:

- `high`: the reference in float64, rounded to the dtype of the result only where that dtype cannot hold it;
- `lows`: the reference in the precision of the call, once as it is and several times in Monte Carlo arithmetic
  (`attlas_ref.testing.stochastic`), where each operation's rounding is moved up or down at random. Their distance from
  `high` says how much error the plain formula makes here, with these values. Several, since one may be lucky;
- `actual`: what is to be judged.

For each result and each leading block (one head of one batch member: the last two axes)

$$\max |\mathrm{actual} - \mathrm{high}| \;\le\;
  2 \max_{\mathrm{lows}} |\mathrm{low} - \mathrm{high}| + 4\,(\varepsilon \max|\mathrm{high}| + \eta).$$

The factor 2 leaves room for another order of the same operations. $\varepsilon$ is the unit in the last place of 1 in
the dtype of the result; four of them are what the last steps may cost where the lows happen to be exact: a reciprocal
instead of a division (1), an exponential good to one unit (1), the accumulator's own rounding and the final one (2).
For half precision the last term holds the rounding of the result, which is all that half precision adds, since
arithmetic is float32. $\eta$ is the smallest normal number: below it products and exponentials may count as 0.

Three matters are exact. NaN and infinities must stand where they stand in `high`, unless the lows disagree about an
entry (a sum at the edge of overflow): such an entry is not judged. An entry that is 0 in `high` and in every low is 0
by structure (a hidden pair, an empty row, a negative score rectified) and must be 0, or so small that it is no normal
number: there an exponential is 0 in one library and not in another. Shapes and dtypes must be equal.

What the bound catches: everything that is wrong by more than rounding in the precision that was asked for, float32
passed off as float64 included. What it cannot catch: an error in entries that are small beside the largest of their
block (other draws, with even magnitudes, are there for that); a loss of accuracy that the plain formula shares; and,
where a formulation jumps (a choice of the largest score, say) and the inputs stand at the jump, anything at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import Array, bind
from ..contract.reference import prepared, returned
from ..records import Record, find
from .lows import MORE, Lows, least_error
from .stochastic import noisy

FACTOR = 2
LAST_UNITS = 4
LOWS = 8
"""With errors alike in kind, the chance that all lows are lucky by the factor shrinks as its power; an error of up to
four budgets, or an infinite one, is judged beside eight times as many."""

LARGE = 4096
"""Entries from which half as many lows are enough, since each then holds the largest of many errors.

Not fewer: where steps build on each other, the errors of a block grow together, and a block is one draw.
"""


def unit(dtype: Any) -> float:
    """Return the unit in the last place of 1: epsilon; whole numbers are not rounded."""
    return 0.0 if np.dtype(dtype).kind in "iu" else float(_format(dtype).eps)


def smallest_normal(dtype: Any) -> float:
    """Return the smallest positive number of full precision in which results of this dtype are computed."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return 0.0
    return float(np.finfo(dtype if dtype in (np.float32, np.float64) else np.float32).smallest_normal)


def _format(dtype: Any) -> Any:
    if np.dtype(dtype).name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


def rounded(high: Any, dtype: Any) -> NDArray[Any]:
    """Return float64 numbers as the dtype of a result would hold them, infinities included, in float64."""
    with np.errstate(over="ignore", under="ignore"):
        cast = np.asarray(high, dtype=np.float64).astype(dtype).astype(np.float64)
    return np.where(np.isfinite(cast), high, cast)


def budget(high: Any, lows: Sequence[Any]) -> NDArray[np.float64]:
    """Return how far from `high` each entry may be; broadcasts to the shape of `high`.

    Parameters
    ----------
    high : float64 array
        One result of the reference in float64.
    lows : sequence of arrays
        The same result from evaluations in the precision of the call. Their dtype is that of the result.

    Returns
    -------
    float64 array
        One number per leading block; the smallest normal one for entries that are 0 by structure.

    Examples
    --------
    A formula that errs by 0.25 may err by 0.5, and by four units of the largest entry:

    >>> high = np.array([[1.0, 3.0]])
    >>> bound = budget(high, [np.array([[1.25, 3.0]], dtype=np.float32)])
    >>> bound.tolist() == [[0.5 + 4 * (3 * 2.0**-23 + 2.0**-126)] * 2]
    True
    """
    dtype = np.asarray(lows[0]).dtype
    high = rounded(high, dtype)
    parts = [np.asarray(low).astype(np.float64) for low in lows]
    judged = agreeing(high, lows)
    error = np.zeros(high.shape)
    for low in parts:
        error = np.maximum(error, _distance(low, high, judged))
    size = np.where(judged & np.isfinite(high), np.abs(high), 0)
    tiny = smallest_normal(dtype)
    bound = FACTOR * _largest(error) + LAST_UNITS * (unit(dtype) * _largest(size) + tiny)
    return np.where(_zero_by_structure(high, parts), tiny, bound)


def error_in_budgets(actual: Any, high: Any, lows: Sequence[Any]) -> float:
    """Return the largest error in units of its budget: at most 1 for a result that passes.

    Parameters
    ----------
    actual, high : arrays, or tuples of arrays
        What is judged, and the reference in float64.
    lows : sequence
        Evaluations in the precision of the call, each of the form of `high`.

    Returns
    -------
    float
        Infinity where NaNs or infinities stand elsewhere, where a choice is another one, and where something else
        than 0 stands where 0 must.

    Raises
    ------
    AssertionError
        If number, shape or dtype of the results differ. Where rounding decides the shape (that of the blocks of a
        segmentation), a result must equal one of the evaluations.

    Examples
    --------
    >>> high = np.array([[0.1, 0.2, 0.3]])
    >>> lows = [high.astype(np.float32)]
    >>> error_in_budgets(high.astype(np.float32), high, lows) < 1 < error_in_budgets(1.001 * lows[0], high, lows)
    True
    """
    if isinstance(high, tuple):
        if not isinstance(actual, tuple) or len(actual) != len(high):
            raise AssertionError(f"the result is {_kind(actual)}; it needs {_kind(high)}")
        return max(error_in_budgets(*parts) for parts in zip(actual, high, zip(*lows, strict=True), strict=True))
    if any(np.shape(low) != np.shape(high) for low in lows):
        return _rounded_like_one_of(actual, [high, *lows])
    actual, dtype = np.asarray(actual), np.asarray(lows[0]).dtype
    if actual.shape != np.shape(high) or actual.dtype != dtype:
        raise AssertionError(
            f"the result is {actual.dtype} of shape {actual.shape}; it needs {dtype} of shape {np.shape(high)}"
        )
    if actual.size == 0:
        return 0.0
    if dtype == np.bool_:  # a choice: right or wrong, where rounding does not decide it
        open_ = np.any([np.asarray(low) != np.asarray(high) for low in lows], axis=0)
        return 0.0 if bool(((actual == np.asarray(high)) | open_).all()) else np.inf
    high = rounded(high, dtype)
    judged = agreeing(high, lows)
    error = np.broadcast_to(_distance(actual.astype(np.float64), high, judged), high.shape)
    bound = np.broadcast_to(budget(high, lows), high.shape)
    ratio = np.where(error > 0, np.inf, 0.0)
    with np.errstate(over="ignore"):  # beside the smallest number anything is infinite
        np.divide(error, bound, out=ratio, where=bound > 0)
    # No distance says how wrong a choice is, nor a number in the place of a zero, which a choice may have made.
    chosen = (dtype.kind in "iu") | _zero_by_structure(high, [np.asarray(low) for low in lows])
    return float(np.where(chosen & (ratio > 1), np.inf, ratio).max())


def _rounded_like_one_of(actual: Any, evaluations: Sequence[Any]) -> float:
    """Return 0 for a result that some evaluation gives, where rounding decides even how many numbers there are."""
    if not any(np.array_equal(actual, evaluation, equal_nan=True) for evaluation in evaluations):
        shapes = sorted({np.shape(evaluation) for evaluation in evaluations})
        raise AssertionError(
            f"the result of shape {np.shape(actual)} is none of those that rounding allows, of shapes {shapes}"
        )
    return 0.0


def assert_within_budget(actual: Any, high: Any, low: Any, what: str = "the result") -> None:
    """Raise AssertionError unless `actual` errs by no more than its budget.

    `low` is one evaluation in the precision of the call, or several; `Lows` are made only as far as they decide.
    """
    lows = low if isinstance(low, (list, Lows)) else [low]
    error = least_error(lambda some: error_in_budgets(actual, high, some), lows)
    if not error <= 1:
        raise AssertionError(f"{what} is off by {error:.3g} budgets{_where(actual, high, lows)}")


def high_and_lows(
    name: str, arrays: Sequence[Any], options: Mapping[str, Any], dtype: Any = None, *, seed: int = 0
) -> tuple[Any, Lows]:
    """Evaluate the reference in float64 and, several times and when asked for, in the precision of the call.

    Parameters
    ----------
    name : str
        The formulation.
    arrays : sequence
        The positional arrays.
    options : mapping
        The keywords.
    dtype : optional
        The precision to evaluate the lows in, if not that of the arrays.
    seed : int, default 0
        Of the Monte Carlo arithmetic.

    Returns
    -------
    high, lows
    """
    record = find(name)
    if dtype is not None:
        arrays = [_cast(array, dtype) for array in arrays]
    high = record.reference(*(_cast(array, np.float64) for array in arrays), **options)
    few, rng = not hasattr(record.reference, "__wrapped__"), np.random.default_rng(seed)
    count = 1 if few else LOWS if max(np.size(part) for part in _parts(high)) < LARGE else LOWS // 2

    def evaluations() -> Iterator[Any]:
        yield record.reference(*arrays, **options)
        while True:
            yield monte_carlo(record, arrays, options, rng)

    return high, Lows(evaluations(), count, 1 if few else MORE * count)


def monte_carlo(record: Record, arrays: Sequence[Any], options: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """Evaluate a reference once in Monte Carlo arithmetic, in the precision of the call."""
    call = bind(record, tuple(arrays), options)
    values, keywords = prepared(call)
    values = noisy_arrays(record, values, rng)
    for name, kind in record.options.items():
        if isinstance(kind, Array) and keywords[name] is not None and not isinstance(keywords[name], str):
            keywords[name] = noisy(keywords[name], rng)
    with np.errstate(all="ignore"):
        return returned(record.reference.__wrapped__(*values, **keywords), call)  # type: ignore[attr-defined]


def noisy_arrays(record: Record, arrays: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """Return the positional arrays of a call in Monte Carlo arithmetic; bits and labels keep their values."""
    return [noisy(x, rng, exact=name in record.exact) for name, x in zip(record.form.arrays, arrays, strict=True)]


def _cast(value: Any, dtype: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_cast(part, dtype) for part in value)
    if value is None:
        return None
    return np.asarray(value).astype(dtype)


def _parts(result: Any) -> tuple[Any, ...]:
    """Every array of a result, those of tuples within tuples too."""
    return sum((_parts(part) for part in result), ()) if isinstance(result, tuple) else (result,)


def agreeing(high: Any, lows: Sequence[Any]) -> NDArray[np.bool_]:
    """Say where the lows agree with `high` about what is NaN and what is infinite."""
    high = rounded(high, np.asarray(lows[0]).dtype)
    judged = np.ones(high.shape, dtype=bool)
    for low in lows:
        judged &= _same_kind(np.asarray(low).astype(np.float64), high)
    return judged


def _same_kind(a: NDArray[Any], b: NDArray[Any]) -> Any:
    finite = np.isfinite(a) & np.isfinite(b)
    return finite | (np.isnan(a) & np.isnan(b)) | (np.isinf(a) & (a == b))


def _distance(a: NDArray[Any], b: NDArray[Any], judged: NDArray[np.bool_]) -> NDArray[Any]:
    """|a - b|; infinite where one is NaN or infinite and the other is not the same; 0 where nothing is judged."""
    finite = np.isfinite(a) & np.isfinite(b)
    difference = np.abs(np.where(finite, a, 0) - np.where(finite, b, 0))
    return np.where(judged, np.where(_same_kind(a, b), difference, np.inf), 0)


def _largest(array: NDArray[Any]) -> NDArray[Any]:
    """The largest entry of each leading block."""
    axes = tuple(range(max(array.ndim - 2, 0), array.ndim))
    return array.max(axis=axes, keepdims=True, initial=0)


def _zero_by_structure(high: NDArray[Any], lows: list[NDArray[Any]]) -> NDArray[np.bool_]:
    zero = high == 0
    for low in lows:
        zero &= low == 0
    return zero


def _where(actual: Any, high: Any, lows: Sequence[Any]) -> str:
    """Where the error is largest, in words."""
    if isinstance(high, tuple):
        ranked = [
            (error_in_budgets(*parts), field, parts)
            for field, parts in zip(
                getattr(high, "_fields", range(len(high))),
                zip(actual, high, zip(*lows, strict=True), strict=True),
                strict=True,
            )
        ]
        _, field, parts = max(ranked, key=lambda entry: entry[0])
        return f" in {field}{_where(*parts)}"
    if np.asarray(lows[0]).dtype == np.bool_:
        return f": at {np.argwhere(np.asarray(actual) != np.asarray(high))[0].tolist()}"
    actual, exact = np.asarray(actual).astype(np.float64), rounded(high, np.asarray(lows[0]).dtype)
    judged = agreeing(high, lows)
    bound = np.broadcast_to(budget(high, lows), exact.shape)
    error = _distance(actual, exact, judged)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(error / bound, nan=0.0)
    place = tuple(int(index) for index in np.unravel_index(int(np.argmax(ratio)), exact.shape))
    return f": at {place} it is {actual[place]:.9g}; it needs {exact[place]:.9g} within {bound[place]:.2g}"


def _kind(result: Any) -> str:
    return f"a tuple of {len(result)} arrays" if isinstance(result, tuple) else "one array"
