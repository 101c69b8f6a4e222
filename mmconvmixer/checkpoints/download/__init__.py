"""Download published weights: once, resumably, and checked against their hash."""
from mmconvmixer.checkpoints.download.fetch import (
    cache_name,
    fetch,
    fetch_to,
    file_name,
    mirror_name,
)
from mmconvmixer.checkpoints.download.http import is_url

__all__ = ['cache_name', 'fetch', 'fetch_to', 'file_name', 'is_url', 'mirror_name']
