"""One walk through a folder: every visible file, and which folders are not entered."""

import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.data.decoding import SUFFIXES
from retrieval.errors import RetrievalError

# What systems put among the photographs: thumbnails, deleted files, restore points, resource forks.
SYSTEM_FOLDERS = {
    *("@eadir", "#recycle", "#snapshot", "@recycle"),
    *("$recycle.bin", "system volume information", "__macosx", "lost+found"),
}


def visible(root: Path) -> Iterator[tuple[str, str]]:
    """Every visible file below a folder, relative to it and with `/`; the second text is "".

    In between, every folder that is not entered, and why: a system made it, or it is a link to a folder
    that is searched anyway or that holds `root`. Other links are followed after the real folders. So no
    file comes twice, and no loop ends the search.

    Raises:
        OSError: a folder cannot be listed.
    """
    real_root = Path(os.path.realpath(root))
    seen = {str(folder) for folder in real_root.parents}
    waiting = [(False, "", str(root))]
    while waiting:
        _, below, path = heapq.heappop(waiting)
        if (real := os.path.realpath(path)) in seen:
            yield below, "link to a folder, which is searched anyway or holds this one"
            continue
        seen.add(real)
        with os.scandir(path) as entries:
            for entry in entries:
                file = f"{below}/{entry.name}" if below else entry.name
                if entry.name.startswith("."):
                    continue
                if not _is_folder(entry):
                    yield file, ""
                elif entry.name.casefold() in SYSTEM_FOLDERS:
                    yield file, f"{entry.name}, which a system made"
                else:
                    heapq.heappush(waiting, (entry.is_symlink(), file, entry.path))


@contextmanager
def listing() -> Iterator[None]:
    """Turns the error of a folder that cannot be listed into a `RetrievalError`."""
    try:
        yield
    except OSError as error:
        raise RetrievalError(
            f"{error.filename} cannot be listed ({error.strerror}): allow it or move it away"
        ) from None


def visible_images(root: Path) -> list[str]:
    """Every visible image below a folder, relative to it and with `/`, sorted; errors are as in `visible`."""
    files = (file for file, kept_out in visible(root) if not kept_out)
    return sorted(file for file in files if file.lower().endswith(SUFFIXES))


def images_in(path: Path) -> list[Path]:
    """The images that a path names: itself, or those in a folder, sorted.

    Raises:
        RetrievalError: it is no file, a folder without images, or one that cannot be listed.
    """
    with listing():
        if path.is_file():
            return [path]
        if not path.is_dir():
            raise RetrievalError(f"{path} is no file and no folder: name one, as in make add IMAGES=folder")
        files = visible_images(path)
    if not files:
        raise RetrievalError(f"{path} holds no images")
    return [path / file for file in files]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or where nobody may look
        return False
