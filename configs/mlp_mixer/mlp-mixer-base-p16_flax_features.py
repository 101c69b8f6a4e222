"""MLP-Mixer-B/16 without its head: images (N, 3, 224, 224) -> features (N, embed_dims)."""
_base_ = ['mlp-mixer-base-p16_flax_in1k.py']

model = dict(type='FeatureExtractor', head=None)
