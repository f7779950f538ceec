"""Who is on what, who waits, what is late; and what is for whom."""
