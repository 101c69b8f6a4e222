"""MLP-Mixer-B/32 without its head: images (N, 3, 224, 224) -> features (N, embed_dims)."""
_base_ = ['mlp-mixer-base-p32_flax-sam_in1k.py']

model = dict(type='FeatureExtractor', head=None)
