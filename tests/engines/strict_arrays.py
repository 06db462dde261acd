"""A stand-in for CuPy: arrays that refuse what CuPy's refuse, with NumPy's numbers.

CuPy's arrays do not mix with NumPy's, are not converted to them silently, and their module has fewer functions. A
program that runs on these arrays uses nothing but the operators, methods and functions listed here, all of which CuPy
has under the same name; reading a value on the host is counted.
"""

import operator

import numpy as np

FUNCTIONS = [
    "abs", "arange", "arccos", "broadcast_to", "concatenate", "cumprod", "cumsum", "empty", "exp", "floor", "full_like",
    "isfinite", "isnan", "ldexp", "log", "log1p", "logaddexp", "maximum", "minimum", "moveaxis", "rint", "searchsorted",
    "sign", "sort", "sqrt", "stack", "take_along_axis", "tanh", "where", "zeros", "zeros_like",
]  # fmt: skip
OPERATORS = [
    "add", "sub", "mul", "truediv", "floordiv", "mod", "matmul", "pow", "and_", "or_", "eq", "ne", "lt", "le", "gt",
    "ge",
]  # fmt: skip
METHODS = ["sum", "max", "min", "argmax", "any", "all", "swapaxes", "astype", "reshape", "copy"]


class StrictArray:
    """Entries that only the functions of `StrictModule` can reach."""

    host_reads = 0

    def __init__(self, entries):
        self._entries = np.asarray(entries)
        self.shape, self.ndim, self.dtype = self._entries.shape, self._entries.ndim, self._entries.dtype
        self.size = self._entries.size

    def __array_namespace__(self, api_version=None):
        return StrictModule

    def __len__(self):
        return len(self._entries)

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array")

    def __array_ufunc__(self, *args, **kwargs):
        raise TypeError("a NumPy function on an array of another library")

    def __bool__(self):
        StrictArray.host_reads += 1
        return bool(self._entries)

    def __float__(self):
        StrictArray.host_reads += 1
        return float(self._entries)

    def __getitem__(self, index):
        return StrictArray(self._entries[_bare(index)])

    def __setitem__(self, index, value):
        self._entries[_bare(index)] = _bare(value)

    def __invert__(self):
        return StrictArray(~self._entries)

    def __neg__(self):
        return StrictArray(-self._entries)

    def __abs__(self):
        return StrictArray(abs(self._entries))

    def get(self):
        StrictArray.host_reads += 1
        return self._entries.copy()


def _bare(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(_bare, value))
    if isinstance(value, (np.ndarray, np.generic)):
        raise TypeError("a NumPy array among arrays of another library")
    return value._entries if isinstance(value, StrictArray) else value


def _lifted(function):
    return lambda *args, **kwargs: StrictArray(function(*map(_bare, args), **kwargs))


def _in_place(function):
    def update(self, other):
        function(self._entries, _bare(other))
        return self

    return update


for _name in OPERATORS:
    _function = getattr(operator, _name)
    _plain = _name.rstrip("_")
    setattr(StrictArray, f"__{_plain}__", _lifted(_function))
    setattr(StrictArray, f"__r{_plain}__", _lifted(lambda right, left, function=_function: function(left, right)))
for _name in ("add", "mul"):
    setattr(StrictArray, f"__i{_name}__", _in_place(getattr(operator, f"i{_name}")))
for _name in METHODS:
    setattr(StrictArray, _name, _lifted(getattr(np.ndarray, _name)))


class StrictModule:
    """The array module of `StrictArray`."""

    asarray = staticmethod(lambda entries: entries if isinstance(entries, StrictArray) else StrictArray(entries))


for _name in FUNCTIONS:
    setattr(StrictModule, _name, staticmethod(_lifted(getattr(np, _name))))
