"""Random calls until a time is up: equivalence and laws, and files that keep each smallest call that fails.

The formulations come round in a new random order each time. A turn is a few drawn calls of one formulation, compared
with the reference, and a few on which one of its laws, a random one, is checked. What fails is shrunk by Hypothesis and
is left out from then on, so that one fault does not take all the time.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .candidates import Candidate
from .checks import compare, equivalence_calls, formulations, law_calls, obey
from .drawn import build
from .laws import all_laws, laws_of
from .laws.law import Law
from .plan import Call, Plan

CALLS = 20
"""Drawn calls of a formulation in one turn."""
LAW_CALLS = 5
"""Drawn calls of its law."""


@dataclass(frozen=True)
class Counterexample:
    """A call on which a candidate once failed: to compute what the reference computes, or to obey a law."""

    plan: Plan
    law: str | None = None
    error: str = ""
    """What was wrong when it was found, and with which candidate."""
    open: Mapping[str, str] = field(default_factory=dict)
    """The candidates that still fail, and why; written by hand."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The formulations that a candidate must compute to be tried on it."""
        return (self.plan.name,) if self.law is None else _law(self.law).tied_with(self.plan.name)

    def check(self, candidate: Candidate) -> None:
        """Try a candidate on it again."""
        if self.law is None:
            compare(candidate, build(self.plan))
        else:
            obey(candidate, _law(self.law), build(self.plan))

    def save(self, folder: Path) -> Path:
        """Write it to a file that is named by its content."""
        plan = dataclasses.asdict(self.plan)
        digest = hashlib.sha256(json.dumps([self.law, plan]).encode()).hexdigest()[:8]
        path = folder / f"{self.law or self.plan.name}-{digest}.json"
        folder.mkdir(parents=True, exist_ok=True)
        content = {"law": self.law, "plan": plan, "error": self.error, "open": self.open}
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        if self.load(path) != self:
            raise ValueError(f"{path} does not keep {self.plan}")
        return path

    @classmethod
    def load(cls, path: Path) -> "Counterexample":
        """Return what `save` has written."""
        content = json.loads(path.read_text(encoding="utf-8"))
        named = content.pop("plan").items()
        plan: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in named}
        return cls(Plan(**plan), **content)


def _law(name: str) -> Law:
    return next(law for law in all_laws() if law.name == name)


def fuzz(candidate: Candidate, seconds: float) -> Iterator[Counterexample]:
    """Draw calls for a candidate until the time is up, and yield each smallest call that fails.

    Every run draws other calls. A case that has begun, and the shrinking of one that has failed, are brought to an end.
    """
    rng = np.random.default_rng()
    until = time.monotonic() + seconds
    computed = set(formulations(candidate))
    laws = {
        name: [law for law in laws_of(name) if name in law.subjects and computed.issuperset(law.tied_with(name))]
        for name in computed
    }
    equal = set(computed)
    while time.monotonic() < until:
        for name in map(str, rng.permutation(sorted(computed))):
            if name in equal:
                drawn = equivalence_calls(candidate, name)
                failed = _smallest_failure(partial(compare, candidate), drawn, CALLS, until)
                if failed is not None:
                    equal.remove(name)
                    yield Counterexample(failed[0], None, failed[1])
            if laws[name]:
                law = laws[name][rng.integers(len(laws[name]))]
                drawn = law_calls(candidate, law, name)
                failed = _smallest_failure(partial(obey, candidate, law), drawn, LAW_CALLS, until)
                if failed is not None:
                    laws[name].remove(law)
                    yield Counterexample(failed[0], law.name, failed[1])


def _smallest_failure(
    judge: Callable[[Call], None], drawn: st.SearchStrategy[Call], count: int, until: float
) -> tuple[Plan, str] | None:
    """Judge drawn calls; return the plan of the smallest that fails and its error."""
    failed: tuple[Plan, str] | None = None

    @settings(
        max_examples=count,
        derandomize=False,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(drawn)
    def check(call: Call) -> None:
        nonlocal failed
        if failed is None and time.monotonic() > until:
            return
        try:
            judge(call)
        except Exception as error:
            assert call.plan is not None
            failed = call.plan, f"{type(error).__name__}: {error}".partition("\n")[0]
            raise

    try:
        check()
    except Exception:
        if failed is None:
            raise
    return failed
