"""Counts what was really run: formulations, candidates, laws and drawn cases."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What the checks of this process have run so far."""

    formulations: set[str] = field(default_factory=set)
    candidates: set[str] = field(default_factory=set)
    laws: set[str] = field(default_factory=set)
    cases: int = 0

    def count(self, candidate: str, formulations: Iterable[str], law: str | None = None) -> None:
        """Count one case that was drawn and checked."""
        self.cases += 1
        self.candidates.add(candidate)
        self.formulations.update(formulations)
        if law is not None:
            self.laws.add(law)

    def merge(self, other: "Tally") -> None:
        """Add what another process has run."""
        self.formulations |= other.formulations
        self.candidates |= other.candidates
        self.laws |= other.laws
        self.cases += other.cases

    def as_dict(self) -> dict[str, object]:
        """Return the tally in plain types, to be sent between processes."""
        return {
            "formulations": sorted(self.formulations),
            "candidates": sorted(self.candidates),
            "laws": sorted(self.laws),
            "cases": self.cases,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, object]) -> "Tally":
        """Return the tally that `as_dict` made plain."""
        sets = {name: set(plain[name]) for name in ("formulations", "candidates", "laws")}  # type: ignore[call-overload]
        return cls(**sets, cases=plain["cases"])  # type: ignore[arg-type]

    def __str__(self) -> str:
        """One line for a terminal.

        >>> tally = Tally()
        >>> tally.count("reference", ["softmax_attention"])
        >>> print(tally)
        1 formulations on 1 candidates (reference), 0 laws, 1 drawn cases
        """
        return (
            f"{len(self.formulations)} formulations on {len(self.candidates)} candidates "
            f"({', '.join(sorted(self.candidates)) or 'none'}), {len(self.laws)} laws, {self.cases} drawn cases"
        )


TALLY = Tally()
"""Of this process."""
