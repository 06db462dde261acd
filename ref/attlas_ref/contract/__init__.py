"""The contract: what a call to any attention function means, stated once.

Names, shapes, dtypes, masks and errors are the same for the references and for every engine. This package checks a
call against its record and says how it is to be computed; it computes nothing itself. It looks at shapes and dtypes
only, so it serves arrays of any library.
"""

from .binding import Bound, Form, bind, check_array_like
from .options import Array, Choice, Flag, Integer, Labels, Number, Option, Partial, Slice
from .reference import formula, reference
from .results import (
    AttentionPartial,
    AttentionResult,
    AttentionVJP,
    AttentionVJPWithBias,
    EnergyResult,
    MutualResult,
    MutualResultWithWeights,
    PenaltyResult,
    PrefixResult,
    RelationalResult,
    ShareResult,
    ShiftedQueryKey,
)
from .signature import Signature, parse_signature, size_of

__all__ = [
    "Array",
    "AttentionPartial",
    "AttentionResult",
    "AttentionVJP",
    "AttentionVJPWithBias",
    "Bound",
    "Choice",
    "EnergyResult",
    "Flag",
    "Form",
    "Integer",
    "Labels",
    "MutualResult",
    "MutualResultWithWeights",
    "Number",
    "Option",
    "Partial",
    "PenaltyResult",
    "PrefixResult",
    "RelationalResult",
    "ShareResult",
    "ShiftedQueryKey",
    "Signature",
    "Slice",
    "bind",
    "check_array_like",
    "formula",
    "parse_signature",
    "reference",
    "size_of",
]
