"""What the reference computes of a call is the same for every candidate: it is computed for the first and kept."""

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

KEPT = 512
"""Evaluations to keep: the candidates of one formulation are judged one after the other."""

LARGEST = 2**18
"""Bytes of a call whose evaluations are kept."""

_kept: OrderedDict[bytes, Any] = OrderedDict()


def remembered(compute: Callable[[], T], *of: Any) -> T:
    """Return `compute()`, or what it returned for arguments of the same content.

    >>> remembered(lambda: 1, "a name", (2.0, None)), remembered(lambda: 2, "a name", (2.0, None))
    (1, 1)
    """
    content = pickle.dumps(of)
    if len(content) > LARGEST:
        return compute()
    key = hashlib.blake2b(content).digest()
    if key not in _kept:
        _kept[key] = compute()
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    found: T = _kept[key]
    return found
