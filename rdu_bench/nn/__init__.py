"""Shared parts of models: densities, networks, priors, divergences, critics."""
