"""What a wrong result most likely comes from."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attlas_ref.contract import Array
from attlas_ref.records import find
from attlas_ref.testing.pairs import is_dense, visible_in
from attlas_ref.testing.plan import Call

from .masters import Exercise
from .process import Gone, Limits, Reply, Student
from .verdict import Wrong, parts_of, shaped_like


def likely_mistake(exercise: Exercise, wrong: Wrong, others: Sequence[Wrong]) -> str | None:
    """Return the words for the likely mistake; None if nothing fits."""
    known = known_mistake(exercise, wrong, others) if wrong.kind in ("values", "form", "raised") else None
    return known or general_mistake(wrong)


def known_mistake(exercise: Exercise, wrong: Wrong, others: Sequence[Wrong]) -> str | None:
    """Run the exercise's own wrong functions on the call, and return the words of the one with the same result.

    `others` are further calls that went wrong.
    """
    if not exercise.mistakes:
        return None
    with Student(exercise.with_mistakes, exercise.path.name, Limits(seconds=20), guarded=False) as process:
        try:
            if process.load() is not None:
                return None

            def fits(name: str, at: Wrong) -> bool:
                return _alike(process.call(name, at.call.arrays, at.call.options), at.reply)

            shares = {
                name: sum(fits(name, other) for other in others) for name in exercise.mistakes if fits(name, wrong)
            }
        except Gone:
            return None
    # On the smallest call much looks alike: it has to fit most others too.
    best = max(shares, key=lambda name: shares[name], default=None)
    return None if best is None or 2 * shares[best] < len(others) else exercise.mistakes[best]


def _alike(one: Reply, other: Reply) -> bool:
    """Whether two functions did the same."""
    if one.raised or other.raised or one.unsendable or other.unsendable:
        return (one.raised, one.message, one.unsendable) == (other.raised, other.message, other.unsendable)
    firsts, seconds = parts_of(one.result), parts_of(other.result)
    return len(firsts) == len(seconds) and all(map(_near, firsts, seconds))


def _near(one: Any, other: Any) -> bool:
    """Equal up to rounding in the coarser of two dtypes."""
    if one is None or other is None:
        return one is other
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or "b" in (one.dtype.kind, other.dtype.kind):
        return np.array_equal(one, other)
    rough = max((np.finfo(a.dtype).eps for a in (one, other) if a.dtype.kind == "f"), default=0.0)
    one, other = one.astype(np.float64), other.astype(np.float64)
    size = float(np.abs(one[np.isfinite(one)]).max(initial=0))
    return bool(np.allclose(one, other, rtol=1e3 * rough, atol=1e3 * rough * size, equal_nan=True))


def general_mistake(wrong: Wrong) -> str | None:
    """Return words for a mistake that can happen in any exercise."""
    return next((words for guess in GUESSES if (words := guess(wrong))), None)


def _no_result(wrong: Wrong) -> str | None:
    reply = wrong.reply
    if reply.raised == "SystemExit":
        return "A function returns its result; it does not end the program."
    if reply.unsendable == "a NoneType" or (reply.result is None and reply.raised is None):
        return "The function has no `return` on this path."
    if reply.raised == "TypeError" and "unexpected keyword" in reply.message:
        return "The signature has changed: it needs every option of the exercise, by name."
    return None


def _transposed(wrong: Wrong) -> str | None:
    result, low = wrong.reply.result, wrong.expected.low
    arrays = isinstance(result, np.ndarray) and isinstance(low, np.ndarray)
    if (
        wrong.kind not in ("values", "form")
        or not arrays
        or result.ndim < 2
        or result.shape != (*low.shape[:-2], low.shape[-1], low.shape[-2])
    ):
        return None
    if result.shape != low.shape or _near(result.mT, low):
        return "Rows and columns of the result have changed places."
    return None


def _other_dtype(wrong: Wrong) -> str | None:
    if wrong.kind != "dtype":
        return None
    return (
        "Something in the formula is a float64 array or scalar, as np.sqrt(d) and np.zeros(n) are, and makes the rest "
        "float64 too. Use d ** 0.5, and give new arrays the dtype of the inputs."
    )


def _changed(wrong: Wrong) -> str | None:
    if wrong.kind != "changed":
        return None
    return "An operation in place (+=, -=, [...] =) works on the caller's array. Make a new one."


def _empty_row(wrong: Wrong) -> str | None:
    call, reply = wrong.call, wrong.reply
    if wrong.kind != "values" or not is_dense(find(call.name)) or not isinstance(reply.result, np.ndarray):
        return None
    empty = ~visible_in(call).any(axis=-1)
    if reply.result.shape[:-1] != empty.shape or not empty.any():
        return None
    rows = reply.result[empty]
    if np.isnan(rows).any():
        return "A query that sees no key has the sum 0, and 0/0 is NaN. Its output is zeros."
    return "A query that sees no key gets something else than zeros." if rows.any() else None


def _overflow(wrong: Wrong) -> str | None:
    if wrong.kind != "values":
        return None
    result, low = parts_of(wrong.reply.result), parts_of(wrong.expected.low)
    lost = any(
        one is not None and one.dtype.kind == "f" and (~np.isfinite(one) & np.isfinite(other)).any()
        for one, other in zip(result, low, strict=True)
    )
    numbers = [array[np.isfinite(array)] for array in wrong.call.every_array() if array.dtype.kind == "f"]
    if lost and max((float(np.abs(array).max(initial=0)) for array in numbers), default=0.0) > 20:
        return "An exponential overflows. Subtract the largest score of each row first: it changes no weight."
    return "A NaN or an infinity comes out where numbers went in: a division by 0, or inf - inf." if lost else None


def _simple(wrong: Wrong) -> str | None:
    """Results that need no formula."""
    result, low = wrong.reply.result, wrong.expected.low
    if wrong.kind != "values" or isinstance(low, tuple) or not np.any(low):
        return None
    if not result.any():
        return "The result is all zeros."
    for name, array in zip(find(wrong.call.name).takes, wrong.call.arrays, strict=True):
        if isinstance(array, np.ndarray) and result.size and np.array_equal(array, result):
            return f"The result is a copy of {name}."
    return None


def _ignored(wrong: Wrong) -> str | None:
    """An option without which the right result would be what came out."""
    if wrong.kind != "values":
        return None
    call, record = wrong.call, find(wrong.call.name)
    for name in call.options:
        parameter = record.python_signature.parameters[name]
        if parameter.default is parameter.empty:
            continue
        without = Call(call.name, call.arrays, {key: value for key, value in call.options.items() if key != name})
        try:
            low = record.reference(*without.arrays, **without.options)
            result = shaped_like(low, wrong.reply.result)
        except (ValueError, TypeError):
            continue
        if all(map(_near, parts_of(result), parts_of(low))):
            what = "array" if isinstance(record.options[name], Array) else "option"
            return f"The result is the same as without `{name}`: this {what} has no effect."
    return None


GUESSES: tuple[Callable[[Wrong], str | None], ...] = (
    *(_no_result, _transposed, _other_dtype, _changed),
    *(_ignored, _empty_row, _overflow, _simple),
)
"""From the surest to the vaguest."""
