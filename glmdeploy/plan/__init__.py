"""What will be deployed, as data; how two plans differ."""
