"""The formats that networks are exported to, one module each.

A module has `SUFFIX`, `DTYPES`, `write(job, path)` and `reader(path)`, which returns a
function images (N, C, H, W) -> outputs that runs the format's own runtime. A module whose
files compute in int8 has `write_int8(job, path, batches)`, too, which takes images for
calibration. If a format is a folder, its module has `MARKER`, the name of a file in every
such folder, and may have `CONTENTS`, the names of all that such a folder holds; if it
writes a second file, `BESIDE` is that file's suffix; if its batches are limited,
`LARGEST_BATCH` is the limit. If the runtime does not run on every system, `computed_by()`
says what `reader` runs instead. A module for self-contained files has `write` and a
`reader` whose function is image (H, W, 3) -> names and scores of the best classes.
"""
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from mmconvmixer.deploy.packages import require_packages
from mmconvmixer.errors import UnknownOption


@dataclass(frozen=True)
class Format:
    """A format's modules, and the packages they need.

    Attributes:
        module: name of its module in this folder.
        extra: this package's extra that installs `packages`.
        packages: modules that it imports.
        dynamic_batch: whether it takes any number of images by default.
        self_contained: name of the module that writes self-contained files (raw image
            in, named classes out); '' if there is none.
    """
    module: str
    extra: str = ''
    packages: tuple[str, ...] = ()
    dynamic_batch: bool = True
    self_contained: str = ''

    @property
    def is_self_contained(self) -> bool:
        """Whether it has no other files than self-contained ones."""
        return self.module == self.self_contained


FORMATS = {
    'onnx': Format('onnx_file', 'deploy', ('onnx', 'onnxscript', 'onnxruntime'),
                   self_contained='onnx_self_contained'),
    'openvino': Format('openvino_ir', 'deploy', ('openvino',), dynamic_batch=False,
                       self_contained='openvino_self_contained'),
    'torch': Format('torch_program'),
    'savedmodel': Format('savedmodel', 'tf', ('tensorflow',)),
    'litert': Format('litert', 'tf', ('tensorflow',), dynamic_batch=False),
    'executorch': Format('executorch', 'executorch', ('executorch', 'torchao'),
                         dynamic_batch=False),
    'coreml': Format('coreml', 'coreml', ('coremltools',), dynamic_batch=False),
    'ncnn': Format('ncnn', 'ncnn', ('ncnn', 'pnnx', 'onnx', 'onnxscript'), dynamic_batch=False),
    'mnn': Format('mnn', 'mnn', ('MNN', 'onnx', 'onnxscript')),
    'web': Format('web_page', 'web', ('onnx', 'onnxscript', 'onnxruntime'), dynamic_batch=False,
                  self_contained='web_page'),
}


def load_format(name: str, self_contained: bool = False) -> ModuleType:
    """Return a format's module.

    Raises:
        UnknownOption: there is no such format, or it has no self-contained files.
        MissingPackage: a package that it needs is not installed.
    """
    if name not in FORMATS:
        raise UnknownOption(f'format {name!r} is not known; these are: {", ".join(FORMATS)}')
    found = FORMATS[name]
    if not self_contained:
        require_packages(f'the format {name}', found.extra, *found.packages)
        return import_module(f'{__name__}.{found.module}')
    if not found.self_contained:
        able = ', '.join(each for each, known in FORMATS.items() if known.self_contained)
        raise UnknownOption(f'format {name} has no self-contained form; these have: {able}')
    # Both self-contained formats are converted from ONNX.
    require_packages(f'the format {name}', found.extra,
                     *dict.fromkeys((*FORMATS['onnx'].packages, *found.packages)))
    return import_module(f'{__name__}.{found.self_contained}')
