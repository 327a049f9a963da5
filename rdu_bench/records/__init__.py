"""Records: their form, where they lie, the laws they keep.  No torch."""
