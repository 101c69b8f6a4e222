"""What other converters make of exported files, each in an environment of its own.

    python -m benchmarks.converters export FOLDER      # pip install '.[deploy,tf]'
    python -m benchmarks.converters NAME FOLDER        # where the converter is installed
    python -m benchmarks.converters torchao FOLDER     # where this package is, too

The first line writes the CIFAR-10 model and a small MLP-Mixer in all forms that a
converter reads, with eight images and PyTorch's logits for them. The others convert both,
run them in the converter's runtime, and print what came out. NAME is a key of
`CONVERTERS`; docs/notes/converters.md has the versions that were run.
"""
import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = ('convmixer', 'mixer')
Run = Callable[[np.ndarray], np.ndarray]


def export(folder: Path) -> None:
    """Write both networks, the images and the logits."""
    import torch

    from mmconvmixer.deploy import export
    from mmconvmixer.deploy.preprocessing import preprocessing_of
    from mmconvmixer.deploy.reference import reference_outputs
    from mmconvmixer.deploy.sample_images import sample_batch
    folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        model = _model(name)
        images = torch.from_numpy(sample_batch(preprocessing_of(model)))
        np.savez(folder / f'{name}.npz', images=images, logits=reference_outputs(model, images))
        for form, suffix in (('onnx', '.onnx'), ('torch', '.pt2'), ('savedmodel', '_saved')):
            export(model, form, folder / f'{name}{suffix}')


def _model(name: str) -> Any:
    import torch

    from mmconvmixer import get_model
    from mmconvmixer.zoo.config import load_config
    if name == 'convmixer':
        return get_model('convmixer-128-4_cifar10', pretrained=True)
    torch.manual_seed(0)
    config = load_config('mlp-mixer-base-p16_3rdparty_64xb64_in1k')
    load, *_, pack = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [load, dict(type='Resize', scale=(32, 32)), pack]
    arch = dict(embed_dims=16, num_layers=2, tokens_mlp_dims=12, channels_mlp_dims=24,
                _delete_=True)
    return get_model(config, backbone=dict(arch=arch, img_size=32, patch_size=8),
                     head=dict(in_channels=16, num_classes=5))


def tvm(folder: Path, name: str) -> Run:
    """Compile the `.pt2` file for this processor."""
    import torch
    import tvm
    from tvm import relax
    from tvm.relax.frontend.torch import from_exported_program
    module = from_exported_program(torch.export.load(folder / f'{name}.pt2'))
    machine = relax.VirtualMachine(tvm.compile(module, tvm.target.Target('llvm')), tvm.cpu())
    return lambda images: machine['main'](tvm.runtime.tensor(images))[0].numpy()


def litert_torch(folder: Path, name: str) -> Run:
    """Convert the `.pt2` file to `.tflite`, for eight images at a time."""
    import litert_torch
    import torch
    module = torch.export.load(folder / f'{name}.pt2').module()
    path = folder / f'{name}_litert_torch.tflite'
    litert_torch.convert(module, (torch.zeros(8, 3, 32, 32),)).export(str(path))
    return _tflite(path)


def onnx2tf(folder: Path, name: str) -> Run:
    """Convert the `.onnx` file to `.tflite`, whose images have the channels last."""
    out = folder / f'{name}_onnx2tf'
    _command('onnx2tf', '-i', folder / f'{name}.onnx', '-o', out, '-n')
    run = _tflite(out / f'{name}_float32.tflite')
    return lambda images: run(np.ascontiguousarray(images.transpose(0, 2, 3, 1)))


def tf2onnx(folder: Path, name: str) -> Run:
    """Convert the SavedModel to `.onnx`, whose images have the channels last."""
    import onnxruntime
    path = folder / f'{name}_tf2onnx.onnx'
    _command('tf2onnx.convert', '--saved-model', folder / f'{name}_saved', '--output', path)
    session = onnxruntime.InferenceSession(path)
    return lambda images: session.run(None, {'images': images.transpose(0, 2, 3, 1)})[0]


def torchao(folder: Path, name: str) -> Run:
    """Quantize the classifier itself to int8; print the classes of its weights."""
    import torch
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
    model = _model(name).eval()
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    print(Counter(f'{type(module).__name__}: {type(module.weight).__name__}'
                  for module in model.modules() if getattr(module, 'weight', None) is not None))

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model.head(model.extract_feat(torch.from_numpy(images))).numpy()
    return run


CONVERTERS = dict(tvm=tvm, litert_torch=litert_torch, onnx2tf=onnx2tf, tf2onnx=tf2onnx,
                  torchao=torchao)


def _command(module: str, *arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, '-m', module, *map(str, arguments)],
                          capture_output=True, text=True)
    print(f'{module}: exit code {done.returncode}')


def _tflite(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=str(path))
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    print(path.name, source['shape_signature'],
          Counter(each['op_name'] for each in interpreter._get_ops_details()))

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(source['index'], images.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source['index'], images)
        interpreter.invoke()
        return interpreter.get_tensor(result['index'])
    return run


def compare(convert: Callable[[Path, str], Run], folder: Path) -> None:
    """Convert both networks, and print how far each batch of images is from PyTorch."""
    for name in NETWORKS:
        data = np.load(folder / f'{name}.npz')
        images, logits = data['images'], data['logits']
        try:
            run = convert(folder, name)
        except Exception as error:  # converters and runtimes raise anything
            print(f'{name}: {type(error).__name__}: {" ".join(str(error).split())[:300]}')
            continue
        for count in (8, 1, 3):
            try:
                difference = np.abs(run(images[:count]) - logits[:count]).max()
            except Exception as error:
                print(f'{name}, {count} images: {type(error).__name__}: {str(error)[:300]}')
                continue
            print(f'{name}, {count} images: {difference:.2g}, where the largest logit is '
                  f'{np.abs(logits).max():.3g}')


def main(argv: list[str] | None = None) -> None:
    """Export the networks, or try one converter."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['export', *CONVERTERS])
    parser.add_argument('folder', type=Path, help='where the exported files are')
    args = parser.parse_args(argv)
    if args.what == 'export':
        export(args.folder)
    else:
        compare(CONVERTERS[args.what], args.folder)


if __name__ == '__main__':
    main()
