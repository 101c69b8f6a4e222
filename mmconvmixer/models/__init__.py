from .convmixer import ARCHS, ConvMixer

__all__ = ['ARCHS', 'ConvMixer']
