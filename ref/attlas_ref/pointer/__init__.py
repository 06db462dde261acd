"""Attention that picks: pointers into the input and their tasks, copying, search of a tree, selection of features."""
