"""ConvMixer-1024/20 without its head: images (N, 3, H, W) -> features (N, embed_dims)."""
_base_ = ['convmixer-1024-20_10xb64_in1k.py']

model = dict(type='FeatureExtractor', head=None)
