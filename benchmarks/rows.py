"""The rows of `tools/benchmark.py`: one network, computed by this package and by its peers.

A peer is built by its own package, unmodified, from the same weights, in the memory
format in which it is faster on this machine.
"""
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from mmengine.model import BaseModel
from mmpretrain.models import GlobalAveragePooling
from torch import Tensor, nn
from torch.nn import functional as F

from mmconvmixer._support.clock import fastest
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.deploy.backends import computed_precision, load_backend
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.errors import UnknownOption
from mmconvmixer.zoo.models import get_model

PEERS = ('mmpretrain', 'timm')
LAYOUTS = dict(contiguous=torch.contiguous_format, channels_last=torch.channels_last)
DTYPES = dict(float32=torch.float32, bfloat16=torch.bfloat16)

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """What a row computes, as its worker process needs it.

    Attributes:
        row: a peer or backend.
        precision: 'float32', 'bfloat16' or 'int8'.
        model: name of a model or path of a config.
        weights: file with the weights that all rows share.
        image_size: height and width, None for the config's.
        device: 'cpu' or 'cuda'.
        train: a training step (forward, backward, SGD) instead of logits.
        threads: number of threads of the row's process.
        calibration: for int8, images (N, C, H, W) float32.
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
        """Row and precision."""
        return f'{self.row} {self.precision}'


def build_row(plan: Plan) -> tuple[Run, str]:
    """Return a function images (N, C, H, W) float32 -> logits (N, classes).

    In training, the function is images -> (2,), the loss and the norm of all its
    gradients. The second value says what was chosen, such as a memory format.
    """
    model = get_model(plan.model)
    weights = read_checkpoint(plan.weights)['state_dict']
    model.load_state_dict(weights)
    preprocessing = preprocessing_of(model, plan.image_size)
    in_torch = plan.row in PEERS or plan.train or plan.device == 'cuda'
    if not in_torch:
        batches = None if plan.calibration is None else [
            each[None] for each in plan.calibration]
        run = load_backend(plan.row).build(Job(model, preprocessing), plan.precision, batches)
        computed = computed_precision(run, plan.precision)
        return run, '' if computed == plan.precision else f'computes in {computed}'
    network = (_peer(plan.row, model, weights) if plan.row in PEERS
               else _Classifier(model.backbone, model.neck, model.head))
    network = network.to(plan.device).train(plan.train)
    if plan.row == 'compile':
        network.compile()
    if plan.row not in PEERS:  # this package's backbone chooses its memory format itself
        return _runner(plan, network, torch.contiguous_format, 'autocast'), ''
    images = torch.zeros(2, preprocessing.in_channels, *preprocessing.image_size)
    ways = [(layout, cast) for layout in LAYOUTS
            for cast in (('autocast',) if plan.train or plan.precision == 'float32'
                         else ('autocast', 'bfloat16 weights'))]
    layout, cast = fastest({
        (layout, cast): partial(_runner(plan, deepcopy(network), LAYOUTS[layout], cast), images)
        for layout, cast in ways})
    return (_runner(plan, network, LAYOUTS[layout], cast),
            layout if plan.precision == 'float32' else f'{layout}, {cast}')


class _Classifier(nn.Module):
    """Backbone, neck and head in sequence."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)))


def _peer(name: str, model: BaseModel, weights: dict[str, Tensor]) -> nn.Module:
    family = type(model.backbone).__name__
    if family not in ('ConvMixer', 'MlpMixer'):
        raise UnknownOption(f'{name} has no network like this {family}; leave out --peers {name}')
    if name == 'timm':
        return _timm(model, weights)
    if family == 'MlpMixer':
        return _Classifier(_mmpretrain_mixer(model), GlobalAveragePooling(dim=1), model.head)
    from mmpretrain.models.backbones.convmixer import ConvMixer
    source = model.backbone
    backbone = ConvMixer(
        dict(embed_dims=source.embed_dims, depth=source.depth, patch_size=source.patch_size,
             kernel_size=source.kernel_size), source.stem[0].in_channels,
        act_cfg=dict(type=type(source.act).__name__))
    backbone.load_state_dict(source.state_dict())
    return _Classifier(backbone, model.neck, model.head)


def _mmpretrain_mixer(model: BaseModel) -> nn.Module:
    from mmpretrain.models.backbones.mlp_mixer import MlpMixer
    source = model.backbone
    act = next(module for module in source.modules() if isinstance(module, nn.GELU))
    backbone = MlpMixer(
        source.arch_settings, source.img_size, source.patch_size,
        act_cfg=dict(type='GELU', approximate=act.approximate),
        norm_cfg=dict(type='LN', eps=source.norm1.eps))
    backbone.load_state_dict(source.state_dict())
    return backbone


def _timm(model: BaseModel, weights: dict[str, Tensor]) -> nn.Module:
    from timm.models import convmixer, mlp_mixer
    source, classes = model.backbone, model.head.fc.out_features
    if type(source).__name__ == 'ConvMixer':
        network = convmixer.ConvMixer(
            source.embed_dims, source.depth, kernel_size=source.kernel_size,
            patch_size=source.patch_size, in_chans=source.stem[0].in_channels, num_classes=classes,
            act_layer=type(source.act))
        layout = layout_named('timm', 'ConvMixer')
    else:
        dims = source.embed_dims
        act = next(module for module in source.modules() if isinstance(module, nn.GELU))
        network = mlp_mixer.MlpMixer(
            num_classes=classes, img_size=source.img_size[0],
            patch_size=source.patch_size, num_blocks=source.num_layers,
            embed_dim=dims, norm_layer=partial(nn.LayerNorm, eps=source.norm1.eps),
            act_layer=partial(nn.GELU, approximate=act.approximate),
            mlp_ratio=(source.tokens_mlp_dims / dims, source.channels_mlp_dims / dims))
        layout = layout_named('timm', 'MLP-Mixer')
    network.load_state_dict(dict(layout.from_mmpretrain(state_dict_of(dict(state_dict=weights)))))
    return network


def _runner(plan: Plan, network: nn.Module, layout: torch.memory_format, cast: str) -> Run:
    dtype = DTYPES[plan.precision]
    network.to(memory_format=layout)
    casts = cast == 'autocast' and dtype is not torch.float32
    taken = torch.float32 if cast == 'autocast' else dtype
    network.to(dtype=taken)
    autocast = partial(torch.autocast, plan.device, dtype, enabled=casts)
    if not plan.train:
        def run(images: Tensor) -> Tensor:
            with torch.inference_mode(), autocast():
                return network(images.to(plan.device, taken, memory_format=layout)).float().cpu()
        return run

    optimizer = torch.optim.SGD(network.parameters(), lr=0.)

    def step(images: Tensor) -> Tensor:
        with autocast():
            logits = network(images.to(plan.device, memory_format=layout))
            labels = torch.arange(len(images), device=plan.device) % logits.shape[1]
            loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gradients = [parameter.grad for parameter in network.parameters()]
        return torch.stack([loss.detach().float(), torch.nn.utils.get_total_norm(gradients)]).cpu()
    return step
