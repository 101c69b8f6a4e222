"""Transforms of one image, and the function that speeds up a pipeline of them."""
from mmconvmixer.datasets.transforms.loading import LoadImage, LoadImageFromFile
from mmconvmixer.datasets.transforms.pipeline import faster_pipeline
from mmconvmixer.datasets.transforms.resize_crop import ResizeCenterCrop

__all__ = ['LoadImage', 'LoadImageFromFile', 'ResizeCenterCrop', 'faster_pipeline']
