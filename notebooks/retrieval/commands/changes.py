"""What make compares to see whether notebooks must run again: `python -m retrieval.commands.changes`."""

import sys
from pathlib import Path

from retrieval.artifacts.locks import locked
from retrieval.artifacts.store import Store
from retrieval.data.dataset import find_images, fingerprint, prepare
from retrieval.errors import run
from retrieval.files import sha256, write_atomically
from retrieval.settings import Settings, announce, read_settings


def stamp(settings: Settings, *, write: bool = True) -> bool:
    """Whether notebooks must run again. If so, `settings.txt` is written, at whose time make looks.

    It holds the settings, and which images, weights and encoder they stand for. If an artifact is missing or
    damaged, the notebooks have to run, too; each reuses what is still valid. Without `write`, nothing is
    changed.
    """
    if write:
        prepare(settings.data)
    text = f"{settings}\nIMAGES     {fingerprint(settings.data, find_images(settings.data))}\n"
    for file in map(Path, (settings.weights, settings.encoder)):
        text += f"SHA-256    {sha256(file)}\n" if file.is_file() else ""
    path = settings.artifacts / "settings.txt"
    unchanged = path.is_file() and path.read_text("utf-8") == text
    if unchanged and Store(settings.artifacts, {}).is_intact():
        return False
    if write:
        write_atomically(path, lambda file: file.write_text(text, "utf-8"))
    return True


def main() -> None:
    settings = read_settings()
    if sys.argv[1:] == ["look"]:
        if stamp(settings, write=False):
            print("changed")
        return
    announce(settings)
    with locked(settings.artifacts, "run", "looking for changes"):
        stamp(settings)


if __name__ == "__main__":
    run(main)
