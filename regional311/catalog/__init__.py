"""What partners offer: services, their questions and how people find them."""
