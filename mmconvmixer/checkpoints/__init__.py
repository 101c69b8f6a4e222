"""Checkpoint files: download, read, fit to a network, convert and write them."""
from mmconvmixer.checkpoints.download import fetch
from mmconvmixer.checkpoints.fit import build_model, load_weights
from mmconvmixer.checkpoints.latest import latest_checkpoint, read_latest
from mmconvmixer.checkpoints.read import is_checkpoint, read_checkpoint
from mmconvmixer.checkpoints.weights import renamed_for_mmengine, state_dict_of
from mmconvmixer.checkpoints.write import write_checkpoint

__all__ = ['build_model', 'fetch', 'is_checkpoint', 'latest_checkpoint', 'load_weights',
           'read_checkpoint', 'read_latest', 'renamed_for_mmengine', 'state_dict_of',
           'write_checkpoint']
