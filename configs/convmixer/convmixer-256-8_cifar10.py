"""ConvMixer-256/8 (patch 2, kernel 5) on CIFAR-10, the official script's 25 epochs.

Status: not trained here yet.
Run:    python tools/train.py configs/convmixer/convmixer-256-8_cifar10.py
"""
_base_ = [
    '../_base_/models/convmixer_cifar10.py',
    '../_base_/datasets/cifar10_in_memory.py',
    '../_base_/schedules/convmixer_cifar.py',
    '../_base_/runtime_small.py',
]
