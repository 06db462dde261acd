"""Compositions of the dense core."""

from .learned import *  # noqa: F403
from .partials import *  # noqa: F403
from .several import *  # noqa: F403
