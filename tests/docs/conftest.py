"""The site is built once per run."""

import os

import pytest
from built_site import Site, build

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
    collect_ignore_glob = ["test_*.py"]  # the simulator changes nothing here


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, generated and built with warnings as errors."""
    return build(tmp_path_factory.mktemp("docs"))
