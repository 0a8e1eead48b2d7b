"""What the embedded cloud knows: on disk what must survive it, in memory what runs."""
