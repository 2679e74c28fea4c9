"""Neighbours, re-ranking, relevance feedback and its session, open-set detection."""
