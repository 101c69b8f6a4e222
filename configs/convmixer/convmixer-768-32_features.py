"""ConvMixer-768/32 without its head: images (N, 3, H, W) -> features (N, embed_dims)."""
_base_ = ['convmixer-768-32_10xb64_in1k.py']

model = dict(type='FeatureExtractor', head=None)
