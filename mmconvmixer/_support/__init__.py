"""Small helpers without knowledge of networks: files, locks, batching, progress, versions."""
