"""Higher-order attention: queries that attend to pairs and tuples of tokens, and polynomials in place of exp."""
