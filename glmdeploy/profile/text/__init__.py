"""Profiles as text: YAML 1.2 with positions, `extends`, overlays and single values. The only YAML import."""
