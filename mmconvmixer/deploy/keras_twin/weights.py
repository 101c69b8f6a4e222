"""torch's weights into Keras' layers of the same names."""
from typing import TYPE_CHECKING

from torch import nn

from mmconvmixer.checkpoints.layouts import layout_named

if TYPE_CHECKING:
    import keras


def copy_weights(model: nn.Module, twin: 'keras.Model', family: str) -> None:
    """Give every layer of the twin the values of the torch module that it is named after.

    Args:
        model: a classifier; layers that the twin lacks (such as a head) are passed over.
        twin: its Keras network.
        family: 'ConvMixer' or 'MLP-Mixer'.

    Raises:
        KeyError, ValueError: the twin has a layer that the classifier has not, or
            of another shape: it is no twin.
    """
    values = layout_named('keras', family).from_mmpretrain(model.state_dict())
    for variable in twin.weights:
        variable.assign(values[variable.path].detach().float().cpu().numpy())
