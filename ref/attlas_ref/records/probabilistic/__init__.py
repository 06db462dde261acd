"""Records of the family probabilistic."""

from .combiner import RECORDS as COMBINER
from .guidance import RECORDS as GUIDANCE
from .posterior import RECORDS as POSTERIOR
from .slots import RECORDS as SLOTS
from .structured import RECORDS as STRUCTURED
from .transport import RECORDS as TRANSPORT

RECORDS = (*POSTERIOR, *STRUCTURED, *TRANSPORT, *SLOTS, *COMBINER, *GUIDANCE)
