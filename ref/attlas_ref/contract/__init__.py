"""The contract: what a call to any attention function means, stated once.

Names, shapes, dtypes, masks and errors are the same for the references and for every engine. This package checks a
call against its record and says how it is to be computed; it computes nothing itself. It looks at shapes and dtypes
only, so it serves arrays of any library.
"""

from .binding import Bound, bind, check_array_like
from .options import Array, Choice, Flag, Integer, Number, Option
from .reference import reference
from .results import AttentionPartial, AttentionResult, AttentionVJP, AttentionVJPWithBias
from .signature import Signature, parse_signature

__all__ = [
    "Array",
    "AttentionPartial",
    "AttentionResult",
    "AttentionVJP",
    "AttentionVJPWithBias",
    "Bound",
    "Choice",
    "Flag",
    "Integer",
    "Number",
    "Option",
    "Signature",
    "bind",
    "check_array_like",
    "parse_signature",
    "reference",
]
