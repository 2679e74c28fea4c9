"""Content-based image retrieval, one module per concept; see the README for the map."""
