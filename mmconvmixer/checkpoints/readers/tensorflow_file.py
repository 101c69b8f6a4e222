"""Read the variables of TensorFlow SavedModels; no graph in them is ever run.

A variable's name consists of its layer's name and its own: `conv2d_1/kernel`. In those that this
project exports, a layer has the name of the torch module, as in `backbone.stem.0/kernel`. What was
converted from JAX has a list of variables that are all called `Variable`.
"""
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmconvmixer.checkpoints.readers.keras_file import by_counter
from mmconvmixer.errors import BadCheckpoint, one_line

_NAMES = '_CHECKPOINTABLE_OBJECT_GRAPH'
_IN_LIST = re.compile(r'((?:trainable_)?variables/\d{1,6})/\.ATTRIBUTES/VARIABLE_VALUE')


def looks_like_tensorflow(path: Path) -> bool:
    """Whether a path is the folder of a SavedModel."""
    return os.path.isfile(path / 'saved_model.pb')


def read_tensorflow(path: Path) -> dict[str, Tensor]:
    """Return the variables as tensors, keyed by layer and variable name.

    Layers that Keras counted (`conv2d_1`) are in that order. What Keras 2 calls
    `depthwise_kernel` is a `kernel`, as in Keras 3. Without layers, the names are the places in the
    list of variables (`variables/12`), in its order.

    Raises:
        BadCheckpoint: TensorFlow is not installed, or the folder is damaged or has no variables.
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
        attributes = [each for node in graph.nodes for each in node.attributes]
        named = [(each.full_name.replace('/depthwise_kernel', '/kernel'), each.checkpoint_key)
                 for each in attributes if '/' in each.full_name]
        found = [(name, torch.from_numpy(np.asarray(reader.get_tensor(key))))
                 for name, key in named or _in_list(attributes)]
    except Exception as error:  # of protobuf or TensorFlow
        raise BadCheckpoint(f'{path} is a TensorFlow SavedModel, but its variables cannot be '
                            f'read: {" ".join(str(error).split())[:200]}') from error
    if not found and attributes:
        names = ', '.join(sorted(each.full_name for each in attributes))
        raise BadCheckpoint(one_line(
            f'{path} is a TensorFlow SavedModel whose variables belong to no layers: {names}'))
    if not found:
        raise BadCheckpoint(
            f'{path} is a TensorFlow SavedModel without variables: its weights are constants in '
            'its graph, as onnx-tf writes them, and are not read. With it, the ConvMixers of '
            'rishit-dagli on TF-Hub were made; take the weights that they were made from, such as '
            'convmixer-768-32_3rdparty_in1k')
    variables = dict(found)
    for name, value in found:  # the same variable may occur twice
        if not torch.equal(value, variables[name]):
            raise BadCheckpoint(f'{path} has two variables {name}; give each layer its own name')
    # An optimizer has averages of the weights, with something before the weight's name.
    weights = {name: value for name, value in variables.items()
               if not any(name[at + 1:] in variables for at, each in enumerate(name)
                          if each == '/')}
    return dict(sorted(weights.items(), key=lambda item: by_counter(item[0].rpartition('/')[0])))


def _in_list(attributes: list[Any]) -> list[tuple[str, str]]:
    """Return place and key of each variable in the list of a module without layers."""
    places = [(match[1], match[0]) for each in attributes
              if (match := _IN_LIST.fullmatch(each.checkpoint_key))]
    return sorted(places, key=lambda place: by_counter(place[0].replace('/', '_')))
