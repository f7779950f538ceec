"""People, sign-in sessions and memberships: what is known before a tenant is."""
