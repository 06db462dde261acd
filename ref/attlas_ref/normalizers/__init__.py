"""Other maps from scores to weights, edits of finished weights, mask builders."""
