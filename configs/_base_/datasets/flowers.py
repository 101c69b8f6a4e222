"""tf_flowers: 3,306 training and 364 held-out images, downloaded (218 MiB) if missing."""
_base_ = ['image_folder.py']

data_preprocessor = dict(num_classes=5)
train_dataloader = dict(
    dataset=dict(type='Flowers', data_root='data/flowers', download=True))
val_dataloader = dict(
    dataset=dict(type='Flowers', data_root='data/flowers', download=True))
test_dataloader = val_dataloader
