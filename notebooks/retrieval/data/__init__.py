"""Images on disk: opening and decoding them, finding them, inspection, duplicates, the split, the
download, and the synthetic sample.
"""
