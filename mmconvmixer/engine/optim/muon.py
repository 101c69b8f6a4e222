"""Muon for the matrices that mix channels or tokens, AdamW for all other parameters.

    m = momentum * m + (1 - momentum) * g          n = (1 - momentum) * g + momentum * m
    w = (1 - lr * weight_decay) * w - lr * 0.2 * sqrt(max(rows, columns)) * orthogonalized(n)

The factor gives an update the size that AdamW's has on average (Liu et al., 2025, Muon is
scalable for LLM training, section 2.2), so that both share one learning rate and one weight
decay. The orthogonalization is Keller Jordan's: five steps of a Newton-Schulz iteration
(https://kellerjordan.github.io/posts/muon/).
"""
from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from mmconvmixer.errors import BadConfig
from mmconvmixer.models import ConvMixer, MlpMixer

_COEFFICIENTS = 3.4445, -4.7750, 2.0315


def orthogonalized(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return a matrix (A, B) with nearly the same singular vectors, and singular values near 1.

    It computes in bfloat16 on a GPU, as published, and in the matrix's own dtype on a CPU: many
    CPUs have no instructions for bfloat16 and emulate it.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16() if matrix.is_cuda else matrix
    if x.shape[0] > x.shape[1]:
        return orthogonalized(matrix.t(), steps).t()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.to(matrix.dtype)


class MuonAdamW(Optimizer):
    """Update the matrices by Muon and all other parameters by AdamW.

    A group of parameters with `muon=True` has matrices: tensors (A, B), or the weights
    (A, B, 1, 1) of 1x1 convolutions. `MuonOptimWrapperConstructor` makes the groups.

    Args:
        params: parameters, or groups of them.
        lr: learning rate of both.
        weight_decay: of both; decoupled, that is, multiplied by the learning rate.
        momentum: Muon's, with Nesterov's correction.
        betas: AdamW's.
        eps: AdamW's.

    Raises:
        BadConfig: (a ValueError) a group for Muon has a parameter that is no matrix.
    """

    def __init__(self, params: Any, lr: float = 1e-3, weight_decay: float = 0.01,
                 momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8) -> None:
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, momentum=momentum,
                                      betas=betas, eps=eps, muon=False))
        for group in self.param_groups:
            for parameter in group['params'] if group['muon'] else ():
                if not is_matrix(parameter):
                    raise BadConfig(f'Muon takes matrices and the weights of 1x1 convolutions, '
                                    f'not a parameter of shape {tuple(parameter.shape)}')
        self._share()

    def _share(self) -> None:
        """Let torch's AdamW update its groups, with this optimizer's groups and state."""
        groups = [group for group in self.param_groups if not group['muon']]
        self._adamw = AdamW(groups) if groups else None
        if self._adamw:
            self._adamw.state = self.state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once; return what the closure returns, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._adamw:
            self._adamw.step()
        for group in self.param_groups:
            for parameter in group['params'] if group['muon'] else ():
                if parameter.grad is not None:
                    self._step_of_muon(parameter, group)
        return loss

    def _step_of_muon(self, parameter: Tensor, group: dict) -> None:
        gradient = parameter.grad.flatten(1)
        state = self.state[parameter]
        if 'momentum' not in state:
            state['momentum'] = torch.zeros_like(gradient)
        average = state['momentum'].lerp_(gradient, 1 - group['momentum'])
        update = orthogonalized(gradient.lerp(average, group['momentum']))
        size = 0.2 * max(update.shape)**0.5
        parameter.mul_(1 - group['lr'] * group['weight_decay'])
        parameter.add_(update.view_as(parameter), alpha=-group['lr'] * size)


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter is of shape (A, B) or (A, B, 1, 1)."""
    return parameter.dim() == 2 or parameter.dim() == 4 and parameter.shape[2:] == (1, 1)


class MuonOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give `MuonAdamW` the matrices inside the blocks of ConvMixers and MLP-Mixers.

        optim_wrapper = dict(
            constructor='MuonOptimWrapperConstructor',
            optimizer=dict(type='MuonAdamW', lr=0.01, weight_decay=0.01))

    These are a ConvMixer's pointwise convolutions and an MLP-Mixer's dense layers. The stem,
    the head, depthwise convolutions, norms and biases are AdamW's. `paramwise_cfg` works as in
    mmengine's class.

    Raises:
        BadConfig: (a ValueError) the model has no such block.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        # Only with some options does mmengine's class make a group for each parameter.
        super().__init__(optim_wrapper_cfg, paramwise_cfg or dict(bypass_duplicate=False))

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   **options: Any) -> None:
        """Add a group for each parameter of the module."""
        super().add_params(params, module, prefix=prefix, **options)
        if prefix:
            return
        matrices = {id(weight) for weight in _matrices(module)}
        if not matrices:
            raise BadConfig('MuonOptimWrapperConstructor is for ConvMixer and MlpMixer; this '
                            "model has no block of theirs: use optimizer=dict(type='AdamW')")
        for group in params:
            group['muon'] = id(group['params'][0]) in matrices


def _matrices(model: nn.Module) -> list[Tensor]:
    blocks = [block for network in model.modules() if isinstance(network, (ConvMixer, MlpMixer))
              for block in (network.stages if isinstance(network, ConvMixer) else network.layers)]
    return [layer.weight for block in blocks for layer in block.modules()
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and is_matrix(layer.weight)]
