"""int8 networks: made of a trained one and some real pictures, without training."""
from mmconvmixer.deploy.quantization.calibration import calibration_batches
from mmconvmixer.deploy.quantization.int8_file import INT8_FORMATS, quantise
from mmconvmixer.deploy.quantization.nncf_int8 import quantise_openvino
from mmconvmixer.deploy.quantization.onnxruntime_int8 import quantise_onnx

__all__ = ['INT8_FORMATS', 'calibration_batches', 'quantise', 'quantise_onnx', 'quantise_openvino']
