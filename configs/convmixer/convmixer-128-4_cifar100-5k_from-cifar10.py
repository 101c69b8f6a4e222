"""ConvMixer-128/4 fine-tuned from CIFAR-10 on 5,000 images of CIFAR-100, 50 per class.

Status: trained. 40.23 % top-1, 70.87 % top-5 on the 10,000 test images, last of 30
        epochs, seed 0; from scratch 27.80 % and 57.05 %. docs/fine_tuning.md has more.
Run:    python tools/train.py configs/convmixer/convmixer-128-4_cifar100-5k_from-cifar10.py
        ... --cfg-options load_from=None                      # from scratch, for comparison
"""
_base_ = ['convmixer-128-4_cifar100.py']

load_from = 'convmixer-128-4_cifar10'
new_head = True

train_dataloader = dict(batch_size=128, dataset=dict(dataset=dict(per_class=50, seed=0)))
auto_scale_lr = dict(base_batch_size=128)

param_scheduler = dict(epochs=[0, 12, 24, 30])
train_cfg = dict(max_epochs=30, val_interval=10)
