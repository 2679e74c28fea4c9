"""Downloads the real set to `data/mammals`: `python -m retrieval.commands.data`, or `make data`."""

from retrieval.data.dataset import REAL_CATEGORIES, REAL_IMAGES
from retrieval.data.download import download
from retrieval.errors import run
from retrieval.settings import PROJECT


def main() -> None:
    download(PROJECT / "data" / "mammals")
    print(f"data/mammals is complete: {REAL_IMAGES} images of {REAL_CATEGORIES} categories")


if __name__ == "__main__":
    run(main)
