"""Values with an empty leading axis have no output; weights and the like do not depend on them and are there."""

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar, cast

import numpy as np

Attend = TypeVar("Attend", bound=Callable[..., Any])


def also_without_values(
    empty: Callable[[tuple[int, ...], Any], Any],
    dtype_of: Callable[[Any], Any] = attrgetter("dtype"),
    steered_by: str | None = None,
) -> Callable[[Attend], Attend]:
    """Return a decorator of functions whose last array is the values, for an engine that makes arrays by `empty`.

    What it wraps computes the shape of its launches from all leading axes; without any it would launch nothing, and
    return weights that nobody wrote. With the option `steered_by` all results depend on the values, and are empty too.

    Examples
    --------
    >>> @also_without_values(np.empty)
    ... def doubled(value):
    ...     return 2 * value
    >>> doubled(np.ones((0, 3, 2))).shape
    (0, 3, 2)
    """

    def decorate(attend: Attend) -> Attend:
        @wraps(attend)
        def wrapped(*arrays: Any, **options: Any) -> Any:
            *others, value = arrays
            if 0 not in value.shape[:-2]:
                return attend(*arrays, **options)
            found = attend(*others, np.zeros(value.shape[-2:], dtype=dtype_of(value)), **options)
            output = found.output if isinstance(found, tuple) else found  # type: ignore[attr-defined]
            batch = np.broadcast_shapes(output.shape[:-2], value.shape[:-2])
            nothing = empty((*batch, *output.shape[-2:]), dtype_of(value))
            if isinstance(found, tuple) and steered_by is not None and options[steered_by]:
                cores = (part.shape[output.ndim - 2 :] for part in found)
                return type(found)(*(empty((*batch, *core), dtype_of(value)) for core in cores))
            return found._replace(output=nothing) if isinstance(found, tuple) else nothing  # type: ignore[attr-defined]

        return cast(Attend, wrapped)

    return decorate
