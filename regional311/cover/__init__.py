"""Who is there: hours and fallbacks of lines, duty, emergencies, lent help, live hand-overs."""
