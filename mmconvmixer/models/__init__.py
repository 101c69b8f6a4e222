"""The backbones, in the papers' words, and a classifier without a head."""
from importlib import import_module
from typing import Any

# Loaded when first asked for: they need mmpretrain, which `fused_block` does without.
_MODULES = dict(ARCHS='convmixer', ConvMixer='convmixer', FeatureExtractor='feature_extractor',
                MIXERS='mlp_mixer', MlpMixer='mlp_mixer')
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
