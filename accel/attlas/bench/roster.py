"""Who can take part on this machine, by name."""

from attlas_ref.records import Record

from .contestants import Contestant, engine_contestant, engines_for, reference_contestant
from .peers import RIVALS, peer_contestant


def roster(record: Record, peer: bool) -> list[Contestant]:
    """The reference, every engine of this machine that computes the formulation, and the peer if it is wanted."""
    contestants = [reference_contestant(record), *(engine_contestant(record, engine) for engine in engines_for(record))]
    return [*contestants, peer_contestant(record)] if peer else contestants


def contestant_named(record: Record, name: str) -> Contestant:
    """One contestant: "reference", an engine's name, or a rival of `peers.RIVALS`."""
    if name in RIVALS:
        return peer_contestant(record, name)
    return next(contestant for contestant in roster(record, peer=False) if contestant.name == name)
