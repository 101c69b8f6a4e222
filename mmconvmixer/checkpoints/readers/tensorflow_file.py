"""Read the variables of TensorFlow SavedModels; no graph in them is ever run.

A variable's name consists of its layer's name, which is that of the torch module, and its
own: `backbone.stem.0/kernel`.
"""
import os
from pathlib import Path

import torch
from torch import Tensor

from mmconvmixer.errors import BadCheckpoint

_NAMES = '_CHECKPOINTABLE_OBJECT_GRAPH'


def looks_like_tensorflow(path: Path) -> bool:
    """Whether a path is the folder of a SavedModel."""
    return os.path.isfile(path / 'saved_model.pb')


def read_tensorflow(path: Path) -> dict[str, Tensor]:
    """Return the variables as tensors, keyed by layer and variable name.

    Raises:
        BadCheckpoint: TensorFlow is not installed, or the folder is damaged.
    """
    try:
        import tensorflow as tf
        from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph
    except ImportError as error:
        raise BadCheckpoint(f'{path} is a TensorFlow SavedModel; to read it, install TensorFlow: '
                            "pip install 'mmconvmixer[tf]'") from error
    try:
        reader = tf.train.load_checkpoint(str(path / 'variables' / 'variables'))
        graph = TrackableObjectGraph.FromString(reader.get_tensor(_NAMES))
        found = [(each.full_name, torch.from_numpy(reader.get_tensor(each.checkpoint_key)))
                 for node in graph.nodes for each in node.attributes if '/' in each.full_name]
    except Exception as error:  # of protobuf or TensorFlow
        raise BadCheckpoint(f'{path} is a TensorFlow SavedModel, but its variables cannot be '
                            f'read: {" ".join(str(error).split())[:200]}') from error
    variables = dict(found)
    for name, value in found:  # the same variable may occur twice
        if not torch.equal(value, variables[name]):
            raise BadCheckpoint(f'{path} has two variables {name}; give each layer its own name')
    return variables
