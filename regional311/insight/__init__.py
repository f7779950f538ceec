"""What a partner and the region learn from their referrals, needs and contacts."""
