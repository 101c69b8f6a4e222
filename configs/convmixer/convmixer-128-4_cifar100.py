"""ConvMixer-128/4 (patch 4, kernel 5) on CIFAR-100: minutes on a CPU.

Status: not trained here yet.
Run:    python tools/train.py configs/convmixer/convmixer-128-4_cifar100.py
"""
_base_ = ['convmixer-128-4_cifar10.py']

model = dict(head=dict(num_classes=100))
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(
    dataset=dict(dataset=dict(type='CIFAR100Folder', data_root='data/cifar100')))
val_dataloader = dict(
    dataset=dict(dataset=dict(type='CIFAR100Folder', data_root='data/cifar100')))
test_dataloader = dict(dataset=dict(type='CIFAR100Folder', data_root='data/cifar100'))
