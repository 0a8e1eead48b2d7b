"""What writes a profile: import, upgrade, fix, pin; and the sides of a diff."""
