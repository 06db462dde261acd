"""Records of attention as memory: associative, for long context, in feed-forward layers, of episodes."""

from . import associative, episodes, modules

RECORDS = (*associative.RECORDS, *modules.RECORDS, *episodes.RECORDS)
