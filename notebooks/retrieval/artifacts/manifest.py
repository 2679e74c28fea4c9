"""The records of all artifacts, `manifest.json`: each carries a seal, the SHA-256 of itself.

A record that a flipped byte has changed is told by its seal and costs its own artifact only, which is
made anew, while all others stay in use. Only a manifest that is no longer JSON stops everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrieval.errors import RetrievalError
from retrieval.files import json_sha256, write_atomically

NAME = "manifest.json"
SEAL = "record_sha256"


def read_records(folder: Path) -> dict[str, Any]:
    """What the manifest says of each artifact, by name; damaged records included.

    Raises:
        RetrievalError: it is damaged as a whole.
    """
    path = folder / NAME
    try:
        return dict(json.loads(path.read_text("utf-8")).items())
    except FileNotFoundError:
        return {}
    except (AttributeError, OSError, ValueError):
        raise RetrievalError(
            f"{path} is damaged: delete it and run `make`, which makes everything anew"
        ) from None


def write_records(folder: Path, records: Mapping[str, Any]) -> None:
    """Puts other records in the place of all those before.

    Raises:
        RetrievalError: writing failed.
    """
    text = json.dumps(records, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomically(folder / NAME, lambda file: file.write_text(text, "utf-8"))


def seal(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """A record of JSON types with its seal, which holds for this artifact alone."""
    return record | {SEAL: json_sha256([name, record])}


def is_sealed(name: str, record: Any) -> bool:
    """Whether a record is, to the letter, the one that was written for this artifact."""
    if not isinstance(record, dict):
        return False
    content = {key: value for key, value in record.items() if key != SEAL}
    return record == seal(name, content)
