"""Networks outside of training: exports, runtimes, and quantization to int8."""
from mmconvmixer.deploy.export import export
from mmconvmixer.deploy.formats import FORMATS
from mmconvmixer.deploy.fuse import fuse
from mmconvmixer.deploy.quantization import quantize

__all__ = ['FORMATS', 'export', 'fuse', 'quantize']
