"""ConvMixer-256/8 (patch 2, kernel 5) on CIFAR-100, the official script's 25 epochs.

Status: not trained here yet. The figure to pass, 64.41 % top-5, is of a TensorFlow
        project with its own recipe and not quite this net; CIFAR-10's recipe is
        the stronger start.
Run:    python tools/train.py configs/convmixer/convmixer-256-8_cifar100.py
"""
_base_ = [
    '../_base_/models/convmixer_cifar10.py',
    '../_base_/datasets/cifar100_in_memory.py',
    '../_base_/schedules/convmixer_cifar.py',
    '../_base_/runtime_small.py',
]

model = dict(head=dict(num_classes=100))
