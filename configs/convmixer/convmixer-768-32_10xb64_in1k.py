"""ConvMixer-768/32 on ImageNet-1k, the paper's recipe.

Status: not trained here. The published weights (80.16 % top-1) were trained with
        this recipe by the paper's authors; `tools/test.py` uses them by default.
Run:    tools/dist_train.sh configs/convmixer/convmixer-768-32_10xb64_in1k.py 10
"""
_base_ = [
    '../_base_/models/convmixer_in1k.py',
    '../_base_/datasets/imagenet_convmixer.py',
    '../_base_/schedules/convmixer_in1k.py',
    '../_base_/runtime.py',
]

# Twice as many epochs as the other variants.
param_scheduler = dict(epochs=[0, 120, 240, 300])
train_cfg = dict(max_epochs=300)
