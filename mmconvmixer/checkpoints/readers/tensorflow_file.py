"""Read the variables of TensorFlow SavedModels; no graph in them is ever run.

A variable's name consists of its layer's name and its own: `conv2d_1/kernel`. In those that this
project exports, a layer has the name of the torch module, as in `backbone.stem.0/kernel`.
"""
import os
from pathlib import Path

import torch
from torch import Tensor

from mmconvmixer.checkpoints.readers.keras_file import by_counter
from mmconvmixer.errors import BadCheckpoint

_NAMES = '_CHECKPOINTABLE_OBJECT_GRAPH'


def looks_like_tensorflow(path: Path) -> bool:
    """Whether a path is the folder of a SavedModel."""
    return os.path.isfile(path / 'saved_model.pb')


def read_tensorflow(path: Path) -> dict[str, Tensor]:
    """Return the variables as tensors, keyed by layer and variable name.

    Layers that Keras counted (`conv2d_1`) are in that order. What Keras 2 calls
    `depthwise_kernel` is a `kernel`, as in Keras 3.

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
        found = [(each.full_name.replace('/depthwise_kernel', '/kernel'),
                  torch.from_numpy(reader.get_tensor(each.checkpoint_key)))
                 for node in graph.nodes for each in node.attributes if '/' in each.full_name]
    except Exception as error:  # of protobuf or TensorFlow
        raise BadCheckpoint(f'{path} is a TensorFlow SavedModel, but its variables cannot be '
                            f'read: {" ".join(str(error).split())[:200]}') from error
    variables = dict(found)
    for name, value in found:  # the same variable may occur twice
        if not torch.equal(value, variables[name]):
            raise BadCheckpoint(f'{path} has two variables {name}; give each layer its own name')
    # An optimizer has averages of the weights, with something before the weight's name.
    weights = {name: value for name, value in variables.items()
               if not any(name[at + 1:] in variables for at, each in enumerate(name)
                          if each == '/')}
    return dict(sorted(weights.items(), key=lambda item: by_counter(item[0].rpartition('/')[0])))
