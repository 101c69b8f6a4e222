"""The rows of `tools/benchmark.py`: one network, computed by this package and by its peers.

A peer is built by its own package, unmodified, from the same weights, in the memory
format in which it is faster here.
"""
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from mmconvmixer.apis import get_model
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.deploy.backends import load_backend
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.errors import UnknownOption

PEERS = ('mmpretrain', 'timm')
DTYPES = dict(float32=torch.float32, bfloat16=torch.bfloat16)

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """What a row computes, as a worker process needs it.

    Attributes:
        row: a peer or backend.
        precision: 'float32', 'bfloat16' or 'int8'.
        model: name or path of a config.
        weights: file with the weights that all rows share.
        image_size: height and width, None for the config's.
        device: 'cpu' or 'cuda'.
        train: a training step (forward, backward, SGD) instead of an answer.
        threads: of the row's process.
        calibration: for int8, pictures (N, C, H, W) float32.
    """
    row: str
    precision: str
    model: str
    weights: str
    image_size: int | None
    device: str = 'cpu'
    train: bool = False
    threads: int = 1
    calibration: np.ndarray | None = None

    @property
    def title(self) -> str:
        return f'{self.row} {self.precision}'


def build_row(plan: Plan) -> tuple[Run, str]:
    """Return a function images (N, C, H, W) float32 -> logits or, in training, losses.

    The second value says what was chosen on the way, e.g. a memory format.
    """
    model = get_model(plan.model)
    weights = read_checkpoint(plan.weights)['state_dict']
    model.load_state_dict(weights)
    if plan.row in PEERS:
        network = _peer(plan.row, model, weights)
    elif plan.train or plan.device == 'cuda':
        network = _Classifier(model.backbone, model.neck, model.head)
    else:
        job = Job(model, preprocessing_of(model, plan.image_size))
        batches = None if plan.calibration is None else [
            each[None] for each in plan.calibration]
        return load_backend(plan.row).build(job, plan.precision, batches), ''
    if plan.row == 'compile':
        network.compile()
    network = network.to(plan.device).train(plan.train)
    images = torch.zeros(2, 3, *preprocessing_of(model, plan.image_size).image_size)
    if preprocessing_of(model, plan.image_size).in_channels == 1:
        images = images[:, :1]
    if plan.row not in PEERS:
        return _runner(plan, network, torch.contiguous_format), ''
    runs = {str(layout).split('.')[-1]: _runner(plan, network, layout)
            for layout in (torch.contiguous_format, torch.channels_last)}
    best = min(runs, key=lambda name: _quickest(runs[name], images))
    return runs[best], best


class _Classifier(nn.Module):
    """Backbone, neck and head, one after the other."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)))


def _peer(name: str, model: BaseModel, weights: dict[str, Tensor]) -> nn.Module:
    family = type(model.backbone).__name__
    if family not in ('ConvMixer', 'MlpMixer'):
        raise UnknownOption(f'there is no peer {name} for a {family}')
    if name == 'timm':
        return _timm(model, weights)
    if family == 'MlpMixer':  # theirs it is
        return _Classifier(model.backbone, model.neck, model.head)
    from mmpretrain.models.backbones.convmixer import ConvMixer
    ours = model.backbone
    backbone = ConvMixer(
        dict(embed_dims=ours.embed_dims, depth=ours.depth, patch_size=ours.patch_size,
             kernel_size=ours.kernel_size), ours.stem[0].in_channels,
        act_cfg=dict(type=type(ours.act).__name__))
    backbone.load_state_dict(ours.state_dict())
    return _Classifier(backbone, model.neck, model.head)


def _timm(model: BaseModel, weights: dict[str, Tensor]) -> nn.Module:
    from timm.models import convmixer, mlp_mixer
    ours, classes = model.backbone, model.head.fc.out_features
    if type(ours).__name__ == 'ConvMixer':
        network = convmixer.ConvMixer(
            ours.embed_dims, ours.depth, kernel_size=ours.kernel_size,
            patch_size=ours.patch_size, in_chans=ours.stem[0].in_channels, num_classes=classes,
            act_layer=type(ours.act))
        layout = layout_named('timm', 'ConvMixer')
    else:
        dims = ours.embed_dims
        network = mlp_mixer.MlpMixer(
            num_classes=classes, img_size=ours.img_size[0],
            patch_size=ours.patch_embed.projection.kernel_size[0], num_blocks=ours.num_layers,
            embed_dim=dims, norm_layer=partial(nn.LayerNorm, eps=ours.norm1.eps),
            mlp_ratio=(ours.tokens_mlp_dims / dims, ours.channels_mlp_dims / dims))
        layout = layout_named('timm', 'MLP-Mixer')
    network.load_state_dict(dict(layout.from_ours(state_dict_of(dict(state_dict=weights)))))
    return network


def _runner(plan: Plan, network: nn.Module, layout: torch.memory_format) -> Run:
    dtype = DTYPES[plan.precision]
    autocast = partial(torch.autocast, plan.device, dtype, enabled=dtype is not torch.float32)
    if not plan.train:
        def run(images: Tensor) -> Tensor:
            network.to(memory_format=layout)
            with torch.inference_mode(), autocast():
                return network(images.to(plan.device, memory_format=layout)).float().cpu()
        return run

    optimizer = torch.optim.SGD(network.parameters(), lr=0.)

    def step(images: Tensor) -> Tensor:
        network.to(memory_format=layout)
        labels = torch.arange(len(images), device=plan.device)
        with autocast():
            logits = network(images.to(plan.device, memory_format=layout))
            loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach().float().cpu()[None]
    return step


def _quickest(run: Run, images: Tensor) -> float:
    run(images)
    times = []
    for _ in range(3):
        start = perf_counter()
        run(images)
        times.append(perf_counter() - start)
    return min(times)
