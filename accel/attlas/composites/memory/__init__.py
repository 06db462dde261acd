"""Attention as memory: compositions of accelerated functions."""

from .compressed import *  # noqa: F403
from .hopfield_energy import *  # noqa: F403
from .notes import *  # noqa: F403
from .wirings import *  # noqa: F403
