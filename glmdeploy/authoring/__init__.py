"""What writes a profile: import, upgrade, fix."""
