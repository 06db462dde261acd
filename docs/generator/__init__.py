"""Writes the pages of the atlas from records, docstrings, laws and measurements."""
