"""What is known to go wrong: a subject a file, each with its ``RULES``; what is plain data in tables (*.yaml)."""
