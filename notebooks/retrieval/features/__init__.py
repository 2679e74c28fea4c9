"""From image files to arrays, and from arrays to arrays: LiteRT, extraction, normalising, fusion, LDA."""
