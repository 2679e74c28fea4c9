"""Content-based image retrieval, one module per concept; see the README for the map.

`retrieval.Retriever` is the class of `search.retriever`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "Retriever":
        raise AttributeError(f"module 'retrieval' has no attribute {name!r}")
    # Imported at first use: every notebook imports this package, and few need a retriever.
    from retrieval.search.retriever import Retriever

    return Retriever
