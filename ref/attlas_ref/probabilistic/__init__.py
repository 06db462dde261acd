"""Attention as inference: posteriors, mixtures, structured marginals, transport, slots, factorized expectations."""
