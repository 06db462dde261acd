"""Compositions of maps from scores to weights, and edits of finished weights."""

from .edits import *  # noqa: F403
from .maps import *  # noqa: F403
