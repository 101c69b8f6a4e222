"""MLP-Mixer-B/16 on ImageNet-21k (21,843 classes), for the original flax weights.

Status: not trained here, and mmpretrain has no test set with these classes. Weights:
        https://storage.googleapis.com/mixer_models/imagenet21k/Mixer-B_16.npz
"""
_base_ = ['mlp-mixer-base-p16_flax_in1k.py']

model = dict(head=dict(num_classes=21843))
data_preprocessor = dict(num_classes=21843)

# Without evaluation, and without the class names of ImageNet-1k.
test_dataloader = dict(dataset=dict(
    type='ImageNet21k', data_root='data/imagenet21k', split=''))
val_dataloader = val_cfg = val_evaluator = None
test_evaluator = None
