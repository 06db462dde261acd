"""What tests against other libraries share."""

import warnings
from typing import Any

import pytest


@pytest.fixture
def torch() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch", reason="PyTorch is the optional extra 'peers'")


@pytest.fixture
def struct(torch: Any) -> Any:
    return pytest.importorskip("torch_struct", reason="torch-struct is in the optional extra 'peers'")
