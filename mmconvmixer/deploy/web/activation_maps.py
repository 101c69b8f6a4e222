"""Class activation maps as an output of an ONNX file.

A linear head after average pooling scores a class by the mean of a map: that of the last
feature map's channels, each times the class's weight. So this map says exactly what each place
adds to the score.
"""
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmpretrain.models import LinearClsHead

from mmconvmixer.deploy.job import Job

if TYPE_CHECKING:
    import onnx

_OPSET = '<ir_version: 10, opset_import: ["" : 20]>'


def grid_of(job: Job) -> tuple[int, int] | None:
    """Return the height and width of the last feature map.

    None if its mean does not go through one linear layer, or if its places have no rows
    and columns: then there are no exact maps.
    """
    network = job.network
    if not network.pools or type(network.head) is not LinearClsHead:
        return None
    with torch.no_grad():
        images = torch.zeros(1, *job.input_shape, dtype=network.dtype)
        features = network.get_submodule('backbone')(images)[-1]
    if features.dim() == 4:
        return features.shape[2], features.shape[3]
    return getattr(network.backbone, 'patch_resolution', None)


def add_maps(model: 'onnx.ModelProto', job: Job, grid: tuple[int, int]) -> None:
    """Add the output `maps` (k, height, width) float32, for the classes of the output `labels`.

    Args:
        model: a self-contained file.
        job: what it was made of.
        grid: what `grid_of` returned.
    """
    from onnx import numpy_helper, parser
    weights = job.model.head.fc.weight.detach().cpu().float().numpy()
    pooling = [node for node in model.graph.node if node.op_type == 'GlobalAveragePool'][-1]
    height, width = grid
    part = parser.parse_model(f"""{_OPSET}
    activation (float[1, {weights.shape[1]}, {height}, {width}] features, int64[{job.best}] labels)
        => (float[{job.best}, {height}, {width}] maps)
    <int64[2] lines = {{{weights.shape[1]}, -1}}, int64[3] grid = {{-1, {height}, {width}}}>
    {{
        maps_values = Cast <to = 1> (features)
        maps_lines = Reshape (maps_values, lines)
        maps_weights = Gather <axis = 0> (class_weights, labels)
        maps_products = MatMul (maps_weights, maps_lines)
        maps = Reshape (maps_products, grid)
    }}""").graph
    part.node[0].input[0] = pooling.input[0]
    model.graph.node.extend(part.node)
    model.graph.output.extend(part.output)
    model.graph.initializer.extend(
        [*part.initializer,
         numpy_helper.from_array(np.ascontiguousarray(weights), 'class_weights')])
