"""Records of the family variational."""

from .bounds import RECORDS as BOUNDS
from .captioning import RECORDS as CAPTIONING
from .sampled import RECORDS as SAMPLED

RECORDS = (*BOUNDS, *SAMPLED, *CAPTIONING)
