"""What people ask: contacts, needs and service requests."""
