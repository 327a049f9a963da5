"""A suite in, records out: curves, one after the other or on workers."""
