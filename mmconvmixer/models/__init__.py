from .convmixer import ARCHS, ConvMixer
from .feature_extractor import FeatureExtractor
from .mlp_mixer import MIXERS, MlpMixer

__all__ = ['ARCHS', 'MIXERS', 'ConvMixer', 'FeatureExtractor', 'MlpMixer']
