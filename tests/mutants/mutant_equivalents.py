"""Mutants that compute the same, by name, each with the reason; they are left out of the share that is killed."""

EQUIVALENT: dict[str, str] = {}
