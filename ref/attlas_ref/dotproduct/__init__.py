"""The dense core: scores, softmax attention and its exact evaluation."""
