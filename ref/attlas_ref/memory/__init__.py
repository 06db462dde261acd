"""Attention as memory: associative networks, sparse distributed memory, long context, layers, episodes."""
