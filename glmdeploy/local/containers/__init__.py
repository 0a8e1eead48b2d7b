"""Containers: what one needs, its process, and how many of a function there are."""
