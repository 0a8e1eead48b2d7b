"""A profile as a file: read with the place of every value, its shape, its JSON Schema."""
