"""The catalogues of languages, and what makes them."""
