"""The same networks in Keras 3 on TensorFlow: channels-last, with a classifier's weights."""
from mmconvmixer.deploy.keras_twin.twin import family_of, keras_twin, width_of

__all__ = ['family_of', 'keras_twin', 'width_of']
