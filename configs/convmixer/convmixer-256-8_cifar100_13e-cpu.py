"""ConvMixer-256/8 (patch 2, kernel 5) on CIFAR-100 in 13 epochs, for two CPU cores.

Status: not trained here yet. To reach: 64.41 % top-5 (see convmixer-256-8_cifar100.py).
Run:    python tools/train.py configs/convmixer/convmixer-256-8_cifar100_13e-cpu.py
"""
_base_ = ['convmixer-256-8_cifar10_13e-cpu.py']

model = dict(head=dict(num_classes=100))
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(
    dataset=dict(dataset=dict(type='CIFAR100Folder', data_root='data/cifar100')))
val_dataloader = dict(
    dataset=dict(dataset=dict(type='CIFAR100Folder', data_root='data/cifar100')))
test_dataloader = dict(dataset=dict(type='CIFAR100Folder', data_root='data/cifar100'))
