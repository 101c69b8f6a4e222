"""Readers for each kind of checkpoint file; none of them runs code from the file."""
from mmconvmixer.checkpoints.readers.foreign import kind_of_file, kind_of_folder
from mmconvmixer.checkpoints.readers.keras_file import looks_like_keras, read_keras
from mmconvmixer.checkpoints.readers.mindspore_file import looks_like_mindspore, read_mindspore
from mmconvmixer.checkpoints.readers.msgpack_file import looks_like_msgpack, read_msgpack
from mmconvmixer.checkpoints.readers.npz_file import looks_like_npz, read_npz
from mmconvmixer.checkpoints.readers.orbax_folder import orbax_folder, read_orbax
from mmconvmixer.checkpoints.readers.safetensors_file import (
    looks_like_safetensors,
    read_safetensors,
)
from mmconvmixer.checkpoints.readers.tensorflow_file import looks_like_tensorflow, read_tensorflow
from mmconvmixer.checkpoints.readers.torch_file import read_torch

__all__ = ['kind_of_file', 'kind_of_folder', 'looks_like_keras', 'looks_like_mindspore',
           'looks_like_msgpack', 'looks_like_npz', 'looks_like_safetensors',
           'looks_like_tensorflow', 'orbax_folder', 'read_keras', 'read_mindspore', 'read_msgpack',
           'read_npz', 'read_orbax', 'read_safetensors', 'read_tensorflow', 'read_torch']
