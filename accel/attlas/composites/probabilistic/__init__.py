"""Attention as inference: compositions of accelerated functions."""

from .guidance import *  # noqa: F403
from .posterior import *  # noqa: F403
from .slots import *  # noqa: F403
from .spectrum import *  # noqa: F403
from .structured import *  # noqa: F403
from .transport import *  # noqa: F403
