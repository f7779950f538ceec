"""Who is responsible: rules, decisions, referrals and their answers."""
