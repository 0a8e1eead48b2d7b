"""What is known to go wrong with a profile, judged on effective values before a GPU is rented."""
