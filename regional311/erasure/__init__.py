"""What is kept of people for how long, and its end: when its time is up, or when they ask."""
