"""What other engines call their options, and what SGLang calls the same: one engine a file."""
