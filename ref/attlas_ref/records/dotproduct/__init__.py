"""Records of the dense core: scores, softmax attention and its exact evaluation."""

from .coupled import RECORDS as COUPLED
from .exact import RECORDS as EXACT
from .learned import RECORDS as LEARNED
from .several import RECORDS as SEVERAL

RECORDS = (*EXACT, *SEVERAL, *LEARNED, *COUPLED)
