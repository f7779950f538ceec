"""Messages to people: written with the work, delivered after it."""
