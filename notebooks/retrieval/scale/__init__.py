"""Optional, past one machine: shards, extraction on Ray, a LanceDB index."""
