"""int8 networks: made of a trained one and some real pictures, without training."""
from .calibration import calibration_batches
from .int8_file import INT8_FORMATS, quantise
from .nncf_int8 import quantise_openvino
from .onnxruntime_int8 import quantise_onnx

__all__ = ['INT8_FORMATS', 'calibration_batches', 'quantise', 'quantise_onnx', 'quantise_openvino']
