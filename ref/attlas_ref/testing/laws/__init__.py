"""The laws: each theorem that ties formulations together, or limits one, as one executable statement.

A law has a name that is a sentence, a statement in mathematics, the formulations that it ties, and a check. It is run
for the reference and for every engine alike. Each module says in its docstring which must-hold of the specification
is which law.

>>> {law.name for law in laws_of("distance_attention")} > {"moving_all_points_changes_nothing"}
True
"""

import importlib
from functools import cache

from .law import Law, Relation, at_most, equal, law, registered, same

MODULES = (
    *("dense", "scored", "softmax", "energy", "gradients", "partials", "distance", "normalizers", "maps", "simplex"),
    *("learned", "coupled", "several", "edits", "ties"),
    *("hopfield", "hopfield_slopes", "bits", "sdm"),
    *("landmarks", "long_context", "titans", "wired", "layers"),
    *("products", "tensor", "simplicial", "polynomial"),
    *("latent_edges", "mixtures", "guidance", "bottlenecks"),
    *("transport", "alignment", "slots", "combiner"),
    *("bounds", "choices", "score_function", "captions"),
    *("chains", "segments", "trees", "parses", "conversations"),
    *("walks", "moving_pointers", "lookback", "policies"),
    *("ctc", "warping", "flow"),
    *("pointers", "pointer_sequences", "tours"),
    *("copying", "coverage", "token_trees", "selection"),
    *("latency", "latent_positions", "nearby", "luong"),
    *("location", "positions"),
)

__all__ = ["Law", "Relation", "all_laws", "at_most", "equal", "law", "laws_of", "same"]


@cache
def _load() -> None:
    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")


def all_laws() -> tuple[Law, ...]:
    """Every law, in the order of the modules."""
    _load()
    return registered()


def laws_of(name: str) -> tuple[Law, ...]:
    """The laws that speak of a formulation, as their subject or as one that they tie."""
    return tuple(law for law in all_laws() if name in law.subjects or name in law.ties)
