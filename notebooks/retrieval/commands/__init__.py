"""What `make` calls, a file per target."""
