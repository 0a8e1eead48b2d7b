"""A first profile of a model: what fits is searched with the real sizing and rules, and one is written with reasons."""
