"""Metrics, intervals and paired differences, simulated feedback, results beside the reported ones."""
