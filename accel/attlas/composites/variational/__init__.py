"""Alignment as a latent variable: compositions of accelerated functions."""

from .bounds import *  # noqa: F403
from .captions import *  # noqa: F403
from .decoder import *  # noqa: F403
from .dirichlet import *  # noqa: F403
from .score_function import *  # noqa: F403
