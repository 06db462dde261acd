"""The libraries, or a skip where one is missing; nothing here depends on the simulator."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
    collect_ignore_glob = ["test_*.py"]

NAMES = {"pytorch": "torch", "jax": "jax", "onnx": "onnx"}


@pytest.fixture
def peers() -> Any:
    """Return what imports a library by its name here, and skips the test where it is missing."""

    def imported(library: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pytest.importorskip(NAMES[library], reason="the library is in the optional extra 'peers'")

    return imported


@pytest.fixture
def double_precision(peers: Any) -> Any:
    """Return a context in which JAX has float64."""

    @contextmanager
    def enabled() -> Iterator[None]:
        with peers("jax").enable_x64(True):
            yield

    return enabled
