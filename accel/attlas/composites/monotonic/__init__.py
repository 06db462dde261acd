"""Attention that moves forward: compositions of accelerated functions."""

from .attention import *  # noqa: F403
from .flow import *  # noqa: F403
from .foresight import *  # noqa: F403
from .latency import *  # noqa: F403
from .luong import *  # noqa: F403
from .places import *  # noqa: F403
from .reading import *  # noqa: F403
