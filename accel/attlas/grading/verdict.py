"""Whether what came back from a call is right, and what is wrong with it in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attlas_ref.contract.reference import tuple_like
from attlas_ref.records import find
from attlas_ref.testing import budget
from attlas_ref.testing.lows import least_error
from attlas_ref.testing.plan import Call

from .process import Reply

ALLOWANCE = 64
"""How many times as much rounding a student's formula may make as one of ours: it need not be the best one."""

Kind = Literal["raised", "form", "values", "dtype", "changed"]


@dataclass(frozen=True)
class Expected:
    """What the reference makes of a call."""

    call: Call
    high: Any
    """In float64."""
    low: Any
    """In the precision of the call."""

    @classmethod
    def of(cls, call: Call) -> "Expected":
        """Evaluate the reference; raises where the call is none that it takes."""
        record = find(call.name)
        exact = call.mapped(lambda array: np.asarray(array, dtype=np.float64)).arrays
        return cls(call, record.reference(*exact, **call.options), record.reference(*call.arrays, **call.options))


@dataclass(frozen=True)
class Wrong:
    """A call that a function gets wrong."""

    kind: Kind
    words: str
    expected: Expected
    reply: Reply

    @property
    def call(self) -> Call:
        """The call itself."""
        return self.expected.call


def judge(expected: Expected, reply: Reply) -> Wrong | None:
    """Return what is wrong with a reply; None if nothing is."""
    if reply.raised is not None:
        return Wrong("raised", f"It raises {reply.error}", expected, reply)
    if reply.unsendable is not None:
        return Wrong("form", f"It returns {reply.unsendable}; it needs {kind_of(expected.low)}", expected, reply)
    words = _form(reply.result, expected.low, "")
    if words:
        return Wrong("form", words, expected, reply)
    result = shaped_like(expected.low, reply.result)
    if not _close(result, expected):
        return Wrong("values", _where(result, expected.low), expected, reply)
    words = _dtype(reply.result, expected.low, "")
    if words:
        return Wrong("dtype", words, expected, reply)
    changed = changed_inputs(expected.call, reply)
    if changed:
        return Wrong("changed", f"It changes its input {changed}; inputs stay as they are", expected, reply)
    return None


def kind_of(value: Any) -> str:
    """What a result is, in words."""
    if isinstance(value, (tuple, list)):
        return f"a {'tuple' if isinstance(value, tuple) else 'list'} of {len(value)}"
    if isinstance(value, (np.ndarray, np.generic)):
        return f"an array of shape {np.shape(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _form(result: Any, expected: Any, place: str) -> str:
    """What is wrong with number and shapes of the results; nothing if all is well."""
    if isinstance(expected, tuple):
        if not isinstance(result, (tuple, list)) or len(result) != len(expected):
            return f"It returns {kind_of(result)}{place}; it needs {kind_of(expected)}"
        names = getattr(expected, "_fields", range(1, len(expected) + 1))
        parts = zip(result, expected, names, strict=True)
        return next((words for one, other, name in parts if (words := _form(one, other, f" for {name}"))), "")
    if expected is None or isinstance(result, (tuple, list)) or not hasattr(result, "shape"):
        return "" if result is expected else f"It returns {kind_of(result)}{place}; it needs {kind_of(expected)}"
    if np.shape(result) != np.shape(expected):
        return f"It returns {kind_of(result)}{place}; it needs the shape {np.shape(expected)}"
    return ""


def _dtype(result: Any, expected: Any, place: str) -> str:
    if isinstance(expected, tuple):
        names = getattr(expected, "_fields", range(1, len(expected) + 1))
        parts = zip(result, expected, names, strict=True)
        return next((words for one, other, name in parts if (words := _dtype(one, other, f" for {name}"))), "")
    if expected is None:
        return ""
    one, other = np.asarray(result).dtype, np.asarray(expected).dtype
    alike = one == other or (one.kind in "iu" and other.kind in "iu")
    return "" if alike else f"It returns {one}{place}; it needs {other}, the dtype of the inputs"


def shaped_like(expected: Any, result: Any) -> Any:
    """Return a result of the right form with the tuples and dtypes that the reference has."""
    if isinstance(expected, tuple):
        return tuple_like(expected, (shaped_like(*parts) for parts in zip(expected, result, strict=True)))
    if expected is None:
        return None
    with np.errstate(all="ignore"):
        return np.asarray(result).astype(np.asarray(expected).dtype)


def _close(result: Any, expected: Expected) -> bool:
    """Whether it errs by no more than it may; the costly evaluations are made where that is open."""
    if all(map(_surely, parts_of(result), parts_of(expected.high), parts_of(expected.low))):
        return True
    call = expected.call
    high, lows = budget.high_and_lows(call.name, call.arrays, call.options)

    def error(some: Sequence[Any]) -> float:
        return budget.error_in_budgets(_present(result), _present(high), [_present(low) for low in some]) / ALLOWANCE

    return least_error(error, lows) <= 1


def _present(result: Any) -> tuple[Any, ...]:
    """Every array of a result that is there."""
    return tuple(part for part in parts_of(result) if part is not None)


def _surely(result: Any, high: Any, low: Any) -> bool:
    """Whether an array is so near that its budget allows it whatever the formula's own error is."""
    if high is None:
        return True
    if result.dtype.kind != "f":
        return bool(np.array_equal(result, high))
    high = budget.rounded(high, low.dtype)
    finite = np.isfinite(high)
    if not np.array_equal(result[~finite], high[~finite], equal_nan=True) or not np.isfinite(result[finite]).all():
        return False
    size = np.where(finite, np.abs(high), 0)
    largest = size.max(axis=tuple(range(max(size.ndim - 2, 0), size.ndim)), keepdims=True, initial=0)
    error = np.abs(np.where(finite, result, 0) - np.where(finite, high, 0))
    near = error <= ALLOWANCE * budget.LAST_UNITS * budget.unit(low.dtype) * largest
    return bool((near & ((high != 0) | (result == 0))).all())


def parts_of(result: Any) -> tuple[Any, ...]:
    """Every array of a result."""
    return sum((parts_of(part) for part in result), ()) if isinstance(result, tuple) else (result,)


def changed_inputs(call: Call, reply: Reply) -> str:
    """The name of an input that is no longer what it was; nothing if all are."""
    arrays, options = reply.after
    names = [*find(call.name).takes, *call.options]
    for name, before, after in zip(names, [*call.arrays, *call.options.values()], [*arrays, *options], strict=False):
        if not _same(before, after):
            return str(name)
    return ""


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, (tuple, list)):
        return isinstance(after, (tuple, list)) and all(map(_same, before, after))
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
    return True


def _where(result: Any, expected: Any, place: str = "") -> str:
    """Where the difference is largest, in words."""
    if isinstance(expected, tuple):
        names = getattr(expected, "_fields", range(1, len(expected) + 1))
        worst = max(zip(result, expected, names, strict=True), key=lambda part: _size(*part[:2]))
        return _where(worst[0], worst[1], f" of {worst[2]}")
    difference = _difference(result, expected)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(difference)), difference.shape))
    entry = f" at {list(index)}" if index else ""
    return f"The result{place}{entry} is {_number(result[index])}; it needs {_number(expected[index])}"


def _number(value: Any) -> str:
    return str(value) if value.dtype.kind == "b" else f"{value:.6g}"


def _size(result: Any, expected: Any) -> float:
    if isinstance(expected, tuple):
        return max((_size(*parts) for parts in zip(result, expected, strict=True)), default=0.0)
    return 0.0 if expected is None else float(_difference(result, expected).max(initial=0))


def _difference(result: Any, expected: Any) -> Any:
    result, expected = np.asarray(result, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    same = (result == expected) | (np.isnan(result) & np.isnan(expected))
    with np.errstate(all="ignore"):
        return np.where(same, 0, np.nan_to_num(np.abs(result - expected), nan=np.inf, posinf=np.inf))
