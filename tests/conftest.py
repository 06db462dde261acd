"""What all tests share: the candidates, poisoned memory, Hypothesis's profiles, the count of what was run."""

import gc
import os
import zlib
from typing import Any

import numpy as np
import pytest
from harsh import poison_empty, shrink_blocks
from hypothesis import HealthCheck, Verbosity, settings
from threadpoolctl import threadpool_limits

from attlas_ref.records import all_records, find
from attlas_ref.testing import all_laws, formulations
from attlas_ref.testing.candidates import candidates
from attlas_ref.testing.tally import TALLY, Tally

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

SIMULATED_ONE_IN = 8
"""What `make test` takes of the simulated tests; `make simulator` takes all."""

_quiet = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": list(HealthCheck),
    "verbosity": Verbosity.normal,
}
settings.register_profile("ci", derandomize=True, database=None, max_examples=25, **_quiet)
settings.register_profile("thorough", derandomize=True, database=None, max_examples=500, **_quiet)
settings.register_profile("simulator", derandomize=True, database=None, max_examples=6, **_quiet)
settings.load_profile(os.environ.get("ATTLAS_PROFILE", "simulator" if SIMULATED else "ci"))

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of BLAS that wait for work would take the cores of other workers
    threadpool_limits(1, user_api="blas")

if SIMULATED:
    from attlas.grading.turns import take_turns

    take_turns()

CANDIDATES = {candidate.name: candidate for candidate in candidates()}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--candidates",
        help=f"comma-separated names of the candidates to test; here: {', '.join(CANDIDATES)}",
    )
    parser.addoption(
        "--less",
        action="store_true",
        help="leave some to other lanes: tests marked one_in, and in the simulator all that take a candidate",
    )
    parser.addoption("--seconds", type=float, default=60, help="how long tests/fuzz.py draws, for each candidate")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_blocks: blocks of the engines as users have them")
    config.addinivalue_line("markers", "one_in(number): with --less only one in so many of these tests runs")
    config.addinivalue_line(
        "markers", "formulations(condition, because): only those whose record fulfills it; why not the others"
    )
    chosen = config.getoption("--candidates")
    names = chosen.split(",") if chosen else list(CANDIDATES)
    unknown = sorted(set(names) - set(CANDIDATES))
    if unknown:
        raise pytest.UsageError(
            f"--candidates: {', '.join(unknown)} cannot run here; there are {', '.join(CANDIDATES)}"
        )
    config.stash[CHOSEN] = [CANDIDATES[name] for name in names]
    gc.set_threshold(50_000, 20, 100)  # garbage is searched for among all tests, and compilers make much of it


CHOSEN = pytest.StashKey[list[Any]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `candidate` over those chosen, `name` over what each computes, `law` over what each can break.

    The tests of one formulation run in one process, which compiles its kernels and remembers what the reference gives.
    """
    chosen = metafunc.config.stash[CHOSEN]
    computed = {candidate: set(formulations(candidate)) for candidate in chosen}
    if {"candidate", "name"} <= set(metafunc.fixturenames):
        names = [record.name for record in all_records()]
        for mark in metafunc.definition.iter_markers("formulations"):
            names = [name for name in names if mark.args[0](find(name))]
        pairs = [(candidate, name) for name in names for candidate in chosen if name in computed[candidate]]
        metafunc.parametrize(
            ("candidate", "name"),
            [
                pytest.param(candidate, name, id=f"{candidate}-{name}", marks=pytest.mark.xdist_group(name))
                for candidate, name in pairs
            ],
        )
    elif {"candidate", "law", "subject"} <= set(metafunc.fixturenames):
        metafunc.parametrize(
            ("candidate", "law", "subject"),
            [
                pytest.param(
                    *(candidate, law, subject),
                    id=f"{candidate}-{law.name}-{subject}",
                    marks=pytest.mark.xdist_group(subject),
                )
                for law in all_laws()
                for subject in law.subjects
                for candidate in chosen
                if set(law.tied_with(subject)) <= computed[candidate]
            ],
        )
    elif "candidate" in metafunc.fixturenames:
        metafunc.parametrize("candidate", chosen, ids=repr)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a share of the tests with `--less`, and in the simulator only those that it makes a difference to.

    A share is by a checksum of the test's name, so that it is spread over formulations and options and always the same.
    """
    for item in items:
        if isinstance(item, pytest.DoctestItem):  # it compiles what the tests of its formulation need
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    less = config.getoption("--less")
    kept = [item for item in items if _matters(item) and (not less or _checksum(item) % _one_in(item) == 0)]
    left = set(items) - set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = kept


def _matters(item: pytest.Item) -> bool:
    """Whether a test is another one in the simulator: it takes a candidate, or asks whether kernels are simulated."""
    return not SIMULATED or "candidate" in item.fixturenames or hasattr(item.module, "simulated")  # type: ignore[attr-defined]


def _one_in(item: pytest.Item) -> int:
    """One in how many tests like this one runs where there are to be less."""
    if SIMULATED and "candidate" in item.fixturenames:  # type: ignore[attr-defined]
        return SIMULATED_ONE_IN
    mark = item.get_closest_marker("one_in")
    return 1 if mark is None else int(mark.args[0])


def _checksum(item: pytest.Item) -> int:
    """Of a test's name, whether or not the name of its group is behind it."""
    return zlib.crc32(item.nodeid.partition("@")[0].encode())


@pytest.fixture(autouse=True)
def draws_of_its_own(request: pytest.FixtureRequest) -> None:
    """Start the generator of a test's module from the test's name: it draws the same, whatever has run before it."""
    generator = getattr(request.module, "RNG", None)
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = np.random.default_rng(_checksum(request.node)).bit_generator.state


@pytest.fixture(autouse=True)
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill `numpy.empty` with NaN, so that memory which is read before it is written shows."""
    poison_empty(monkeypatch.setattr)


@pytest.fixture(autouse=True)
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks so small that drawn calls have several, with remainders; tests of real blocks say so.

    Tests of one engine, of the command line and of the pages run with the blocks that users have.
    """
    if request.node.get_closest_marker("real_blocks") is None:
        drawn = request.path.parent.name in ("tests", "contract", "kit")
        shrink_blocks(monkeypatch.setattr, CANDIDATES, on_the_cpu=drawn)


# Each process counts what it has run; with pytest-xdist the workers hand their counts to the controller.


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tally"] = TALLY.as_dict()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    plain = getattr(node, "workeroutput", {}).get("tally")
    if plain is not None:
        TALLY.merge(Tally.from_dict(plain))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY.cases:
        terminalreporter.write_line(f"ran {TALLY}")
