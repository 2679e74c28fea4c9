"""The synthetic sample: invented animals, drawn in code, for runs without a download."""
