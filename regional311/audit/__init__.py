"""Who did what, in ids and codes, and never changed."""
