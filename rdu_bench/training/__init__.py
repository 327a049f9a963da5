"""Training at a rate: min D + w|σ − R| + what makes a model itself."""
