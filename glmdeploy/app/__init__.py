"""A Plan as a Modal app: built in memory, or written as a script."""
