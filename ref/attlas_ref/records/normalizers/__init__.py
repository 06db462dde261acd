"""Records of other maps from scores to weights, of edits of finished weights, and of mask builders."""

from .edits import RECORDS as EDITS
from .maps import RECORDS as MAPS
from .masks import RECORDS as MASKS

RECORDS = (*MAPS, *EDITS, *MASKS)
