"""Records of higher-order attention, of polynomial attention, and of the tasks that need them."""

from .polynomial import RECORDS as POLYNOMIAL
from .tasks import RECORDS as TASKS
from .tensor import RECORDS as TENSOR

RECORDS = (*TENSOR, *POLYNOMIAL, *TASKS)
