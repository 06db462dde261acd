"""Records of the family monotonic."""

from .ctc import RECORDS as CTC
from .dynamics import RECORDS as DYNAMICS
from .expected import RECORDS as EXPECTED
from .latency import RECORDS as LATENCY
from .latent import RECORDS as LATENT
from .location import RECORDS as LOCATION
from .luong import RECORDS as LUONG
from .policies import RECORDS as POLICIES
from .positions import RECORDS as POSITIONS

RECORDS = (*EXPECTED, *POLICIES, *LATENCY, *LATENT, *LUONG, *LOCATION, *POSITIONS, *CTC, *DYNAMICS)
