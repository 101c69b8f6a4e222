"""ONNX with preprocessing and postprocessing in the same file.

Input: one raw image, `image` (H, W, 3) uint8, RGB, of any size. Outputs: the best
classes, `classes` (k,) strings, `scores` (k,) float32, `labels` (k,) int64.

The graphs below are in ONNX's text syntax. They resize, crop and normalize with the
sizes and the rounding of mmpretrain's transforms.
"""
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmpretrain.models import ClsHead

from mmconvmixer.deploy.formats import onnx_file
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.errors import UnknownOption

if TYPE_CHECKING:
    import onnx

_HEADER = '<ir_version: 10, opset_import: ["" : 20]>'


def write(job: Job, path: Path) -> None:
    """Write the file.

    Raises:
        UnknownOption: see `checked_preprocessing`.
    """
    import onnx
    checked_preprocessing(job)
    onnx.save(with_images(job, network_of(job)), path)
    onnx.checker.check_model(path, full_check=True)


def checked_preprocessing(job: Job) -> Preprocessing:
    """Return the preprocessing that such a file has.

    Raises:
        UnknownOption: it cannot express the test pipeline or the head.
    """
    if type(job.model.head).predict is not ClsHead.predict:
        raise UnknownOption(f'self_contained predicts one class for an image, by softmax; a '
                            f'{type(job.model.head).__name__} predicts differently')
    if job.preprocessing is None or job.preprocessing.resize == 'none':
        raise UnknownOption('self_contained is for images of any size, but the test pipeline '
                            'does not resize them')
    return job.preprocessing


def network_of(job: Job) -> 'onnx.ModelProto':
    """Return the network alone, for one image."""
    import onnx
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, 'network.onnx')
        onnx_file.write(replace(job, dynamic_batch=False), plain)
        return onnx.load(plain)


def with_images(job: Job, network: 'onnx.ModelProto') -> 'onnx.ModelProto':
    """Return a network with the preprocessing before it and the names of classes after it."""
    import onnx
    from onnx import compose, parser
    network = compose.add_prefix(network, 'network/')
    names = np.array(job.class_names, object)
    before = parser.parse_model(_before(job.preprocessing))
    after = parser.parse_model(_after(job.width, job.best))
    after.graph.initializer.append(onnx.numpy_helper.from_array(names, 'class_names'))
    whole = compose.merge_models(before, network, [('images', 'network/images')])
    return compose.merge_models(whole, after, [('network/logits', 'logits')])


def reader(path: Path) -> Callable[[np.ndarray], tuple[list[str], np.ndarray]]:
    """Return image (H, W, 3) -> names and scores of the best classes."""
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(image: np.ndarray) -> tuple[list[str], np.ndarray]:
        classes, scores = session.run(['classes', 'scores'], {'image': image})
        return classes.tolist(), scores
    return run


def _before(steps: Preprocessing) -> str:
    height, width = steps.image_size
    per_channel = f'float[1, {steps.in_channels}, 1, 1]'
    return f"""{_HEADER}
    preprocessing (uint8[height, width, 3] image)
        => (float[1, {steps.in_channels}, {height}, {width}] images)
    <
        int64[1] zero = {{0}}, int64[2] spatial = {{2, 3}}, float half = {{0.5}},
        int64[2] image_size = {{{height}, {width}}},
        {per_channel} mean = {_numbers(steps.mean)}, {per_channel} std = {_numbers(steps.std)}
    >
    {{
        planar = Transpose <perm = [2, 0, 1]> (image)
        rgb = Unsqueeze (planar, zero)
        {_CHANNELS[steps.channels]}
        shape = Shape <start = 2> (pixels)
        {_sizes(steps)}
        {_resize(steps)}
        {_CROP}
        values = Cast <to = 1> (cropped)
        centered = Sub (values, mean)
        images = Div (centered, std)
    }}"""


_CHANNELS = dict(
    RGB='pixels = Identity (rgb)',
    BGR="""order = Constant <value = int64[3] {2, 1, 0}> ()
        pixels = Gather <axis = 1> (rgb, order)""",
    # Gray as image decoders compute it: ITU-R BT.601, rounded.
    GRAY="""parts = Constant <value = float[1, 3, 1, 1] {0.299, 0.587, 0.114}> ()
        rgb_values = Cast <to = 1> (rgb)
        weighted = Mul (rgb_values, parts)
        channel = Constant <value = int64[1] {1}> ()
        light = ReduceSum <keepdims = 1> (weighted, channel)
        light_rounded = Round (light)
        pixels = Cast <to = 2> (light_rounded)""")


def _sizes(steps: Preprocessing) -> str:
    """Return what computes the resized image's height and width, `sizes` (2,)."""
    if steps.resize == 'short':
        # Integer division rounds the long edge down.
        return f"""edge = Constant <value = int64[1] {{{steps.resize_to[0]}}}> ()
        short = ReduceMin <keepdims = 1> (shape)
        scaled = Mul (shape, edge)
        sizes = Div (scaled, short)"""
    height, width = steps.resize_to
    return f'sizes = Constant <value = int64[2] {{{height}, {width}}}> ()'


# For Pillow and for OpenCV, whose cubic kernels have different constants.
_ATTRIBUTES = dict(bicubic=('mode = "cubic", cubic_coeff_a = -0.5, antialias = 1',
                            'mode = "cubic", cubic_coeff_a = -0.75'),
                   bilinear=('mode = "linear", antialias = 1', 'mode = "linear"'))


def _resize(steps: Preprocessing) -> str:
    if steps.interpolation == 'area':
        return _resize_by_area()
    if steps.interpolation not in _ATTRIBUTES:
        raise UnknownOption(f'self_contained has no {steps.interpolation!r} interpolation; '
                            f'it has {", ".join(_ATTRIBUTES)}, area')
    smooth, sharp = _ATTRIBUTES[steps.interpolation]
    whole_sizes = """leading = Shape <start = 0, end = 2> (pixels)
        whole_sizes = Concat <axis = 0> (leading, sizes)"""
    if steps.antialias:  # on bytes, onnxruntime rounds after each direction, as Pillow does
        return f"""{whole_sizes}
        resized = Resize <{smooth}> (pixels, , , whole_sizes)"""
    return f"""{whole_sizes}
        exact_pixels = Cast <to = 1> (pixels)
        exact = Resize <{sharp}> (exact_pixels, , , whole_sizes)
        {_AS_BYTES}"""


_AS_BYTES = """rounded = Round (exact)
        least = Constant <value = float {0}> ()
        most = Constant <value = float {255}> ()
        bounded = Clip (rounded, least, most)
        resized = Cast <to = 2> (bounded)"""


def _resize_by_area() -> str:
    """Return what makes each new pixel the mean of those it covers: two matrix products.

    If an edge grows, OpenCV interpolates instead, along both edges, with places of its own. They
    are computed in whole numbers, because onnxruntime-web has no float64 for WebGPU.
    """
    def shares(edge: str, position: int) -> str:
        """Return what computes the matrix (new, old): the part of a new pixel on each old one."""
        return f"""{edge}_at = Constant <value = int64 {{{position}}}> ()
        {edge}_old = Gather (shape, {edge}_at)
        {edge}_new = Gather (sizes, {edge}_at)
        {edge}_old_range = Range (start, {edge}_old, step)
        {edge}_new_range = Range (start, {edge}_new, step)
        {edge}_old_float = Cast <to = 1> ({edge}_old)
        {edge}_new_float = Cast <to = 1> ({edge}_new)
        {edge}_width = Div ({edge}_old_float, {edge}_new_float)
        {edge}_row = Cast <to = 1> ({edge}_old_range)
        {edge}_row_end = Add ({edge}_row, unit)
        {edge}_numbers = Cast <to = 1> ({edge}_new_range)
        {edge}_starts = Mul ({edge}_numbers, {edge}_width)
        {edge}_column = Unsqueeze ({edge}_starts, last)
        {edge}_column_end = Add ({edge}_column, {edge}_width)
        {edge}_first = Max ({edge}_row, {edge}_column)
        {edge}_end = Min ({edge}_row_end, {edge}_column_end)
        {edge}_overlap = Sub ({edge}_end, {edge}_first)
        {edge}_covered = Relu ({edge}_overlap)
        {edge}_means = Div ({edge}_covered, {edge}_width)
        {edge}_from = Mul ({edge}_new_range, {edge}_old)
        {edge}_left = Div ({edge}_from, {edge}_new)
        {edge}_right = Add ({edge}_left, step)
        {edge}_right_from = Mul ({edge}_right, {edge}_new)
        {edge}_to = Add ({edge}_from, {edge}_old)
        {edge}_beyond = Sub ({edge}_to, {edge}_right_from)
        {edge}_beyond_float = Cast <to = 1> ({edge}_beyond)
        {edge}_positive = Relu ({edge}_beyond_float)
        {edge}_part = Div ({edge}_positive, {edge}_old_float)
        {edge}_left_float = Cast <to = 1> ({edge}_left)
        {edge}_between = Add ({edge}_left_float, {edge}_part)
        {edge}_most = Sub ({edge}_old_float, unit)
        {edge}_place = Min ({edge}_between, {edge}_most)
        {edge}_place_column = Unsqueeze ({edge}_place, last)
        {edge}_offset = Sub ({edge}_row, {edge}_place_column)
        {edge}_distance = Abs ({edge}_offset)
        {edge}_nearness = Sub (unit, {edge}_distance)
        {edge}_neighbors = Relu ({edge}_nearness)
        {edge}_shares = Where (grows, {edge}_neighbors, {edge}_means)"""
    return f"""start = Constant <value = int64 {{0}}> ()
        step = Constant <value = int64 {{1}}> ()
        unit = Constant <value = float {{1}}> ()
        last = Constant <value = int64[1] {{-1}}> ()
        growth = Sub (sizes, shape)
        most_growth = ReduceMax <keepdims = 0> (growth)
        grows = Greater (most_growth, start)
        {shares('height', 0)}
        {shares('width', 1)}
        width_transposed = Transpose <perm = [1, 0]> (width_shares)
        exact_pixels = Cast <to = 1> (pixels)
        narrowed = MatMul (exact_pixels, width_transposed)
        exact = MatMul (height_shares, narrowed)
        {_AS_BYTES}"""


# Halves are rounded to the even number, as by Python's round.
_CROP = """resized_size = Shape <start = 2> (resized)
        spare = Sub (resized_size, image_size)
        spare_float = Cast <to = 1> (spare)
        margin_float = Mul (spare_float, half)
        margin_rounded = Round (margin_float)
        margin = Cast <to = 7> (margin_rounded)
        end = Add (margin, image_size)
        cropped = Slice (resized, margin, end, spatial)"""


def _after(classes: int, topk: int) -> str:
    return f"""{_HEADER}
    best (float[1, {classes}] logits)
        => (string[{topk}] classes, float[{topk}] scores, int64[{topk}] labels)
    <int64[1] count = {{{topk}}}, int64[1] first = {{0}}>
    {{
        probabilities = Softmax <axis = 1> (logits)
        line = Squeeze (probabilities, first)
        scores, labels = TopK (line, count)
        classes = Gather <axis = 0> (class_names, labels)
    }}"""


def _numbers(values: tuple[float, ...]) -> str:
    return '{' + ', '.join(map(repr, values)) + '}'
