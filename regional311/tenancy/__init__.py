"""Partners: their names, lines, hours, bureaus and boundaries."""
