"""Changes to a loaded config: its test set, image folders, data loaders and paths."""
