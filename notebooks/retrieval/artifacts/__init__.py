"""The contract between the notebooks: the store with its manifest, file formats, locks."""
