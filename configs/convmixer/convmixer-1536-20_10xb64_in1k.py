"""ConvMixer-1536/20 on ImageNet-1k, the paper's recipe.

Status: not trained here. The published weights (81.37 % top-1) were trained with
        this recipe by the paper's authors; `tools/test.py` uses them by default.
Run:    tools/dist_train.sh configs/convmixer/convmixer-1536-20_10xb64_in1k.py 10
"""
_base_ = [
    '../_base_/models/convmixer_in1k.py',
    '../_base_/datasets/imagenet_convmixer.py',
    '../_base_/schedules/convmixer_in1k.py',
    '../_base_/runtime.py',
]

model = dict(backbone=dict(arch='1536/20'), head=dict(in_channels=1536))
