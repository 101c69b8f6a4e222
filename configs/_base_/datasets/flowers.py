"""tf_flowers: 3,306 images to train on, 364 to validate on, downloaded (218 MiB) if need be."""
_base_ = ['image_folder.py']

data_preprocessor = dict(num_classes=5)
train_dataloader = dict(
    dataset=dict(type='Flowers', data_root='data/flowers', download=True))
val_dataloader = dict(
    dataset=dict(type='Flowers', data_root='data/flowers', download=True))
test_dataloader = val_dataloader
