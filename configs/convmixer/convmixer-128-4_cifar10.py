"""ConvMixer-128/4 (patch 4, kernel 5) on CIFAR-10: minutes on a CPU.

Status: trained. 83.88 % top-1 on the 10,000 test pictures, last of 25 epochs, seed 0;
        45 minutes on 2 CPU cores (AVX-512, 2.1 GHz) that also did other work.
Run:    python tools/train.py configs/convmixer/convmixer-128-4_cifar10.py
"""
_base_ = ['convmixer-256-8_cifar10.py']

model = dict(backbone=dict(arch='128/4'), head=dict(in_channels=128))

# Shift and flip only: what a net of 0.1 M parameters can still fit.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomCrop', crop_size=32, padding=4),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ]))

# float32: the bfloat16 depthwise gradient is slower than float32's on CPUs.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=0.02))

randomness = dict(seed=0)
