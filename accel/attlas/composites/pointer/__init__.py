"""Attention that picks: compositions of accelerated functions."""

from .copying import *  # noqa: F403
from .networks import *  # noqa: F403
from .selection import *  # noqa: F403
