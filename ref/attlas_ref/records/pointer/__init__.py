"""Records of the family pointer."""

from .copying import RECORDS as COPYING
from .networks import RECORDS as NETWORKS
from .selection import RECORDS as SELECTION
from .tasks import RECORDS as TASKS
from .trees import RECORDS as TREES

RECORDS = (*NETWORKS, *TASKS, *COPYING, *TREES, *SELECTION)
