"""ConvMixer-256/8 (patch 2, kernel 5) on CIFAR-100, the official script's 25 epochs.

Status: not trained here yet. To reach: 64.41 % top-5, by a TensorFlow project
        with another recipe and a slightly different network. This config has
        CIFAR-10's recipe, which is stronger.
Run:    python tools/train.py configs/convmixer/convmixer-256-8_cifar100.py
"""
_base_ = [
    '../_base_/models/convmixer_cifar10.py',
    '../_base_/datasets/cifar100_in_memory.py',
    '../_base_/schedules/convmixer_cifar.py',
    '../_base_/runtime_small.py',
]

model = dict(head=dict(num_classes=100))
