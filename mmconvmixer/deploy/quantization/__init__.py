"""Quantization of a trained network to int8 with some real images, without training."""
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.deploy.quantization.int8_file import INT8_FORMATS, quantize
from mmconvmixer.deploy.quantization.nncf_int8 import quantize_openvino
from mmconvmixer.deploy.quantization.onnxruntime_int8 import quantize_onnx

__all__ = ['INT8_FORMATS', 'calibration_batches', 'quantize', 'quantize_onnx', 'quantize_openvino']
