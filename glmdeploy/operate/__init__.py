"""Everything done to, or asked of, a deployed app."""
