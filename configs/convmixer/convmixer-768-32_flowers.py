"""ConvMixer-768/32 fine-tuned from ImageNet-1k on five flowers, by the Mixer collection's recipe.

Status: not trained here.
Run:    python tools/train.py configs/convmixer/convmixer-768-32_flowers.py
        python tools/train.py configs/convmixer/convmixer-768-32_flowers.py --data DIR
"""
_base_ = [
    '../_base_/models/convmixer_in1k.py',
    '../_base_/datasets/flowers.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/runtime_small.py',
]

load_from = 'convmixer-768-32_3rdparty_in1k'

# Without the ImageNet recipe's batch augmentation and label smoothing.
model = dict(
    head=dict(num_classes=5, loss=dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1.0)),
    train_cfg=dict(_delete_=True))
