"""Say how to change one size of an architecture, which configs give by a name like '64/4-p1-k3'."""
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mmengine.config import Config

from mmconvmixer.errors import BadConfig

_BACKBONE, _ARCH = 'model.backbone.', 'model.backbone.arch.'


def check_arch_keys(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Raise BadConfig for a key such as `model.backbone.kernel_size` or `...arch.kernel_size`.

    Args:
        cfg: the config, without the overrides.
        overrides: values by dotted key, as from `--cfg-options`.

    Raises:
        BadConfig: the key is for a size of the architecture; it says what to set instead.
        UnknownArch: there is no such architecture.
    """
    backbone = (cfg.get('model') or {}).get('backbone')
    if not isinstance(backbone, Mapping) or f'{_ARCH}_delete_' in overrides:
        return
    kind = str(backbone.get('type')).rpartition('.')[2]
    arch = overrides.get(_ARCH.rstrip('.'), backbone.get('arch'))
    # They import torch, so only where somebody asks for them.
    if kind == 'ConvMixer':
        from mmconvmixer.models.convmixer import SIZES, resolve_arch
        given = _given(overrides, SIZES, arch)
        if given:
            sizes = dict(arch) if isinstance(arch, Mapping) else asdict(resolve_arch(arch))
            embed_dims, depth, patch_size, kernel_size = ({**sizes, **given}[key] for key in SIZES)
            _refuse(given, arch, f'arch={embed_dims}/{depth}-p{patch_size}-k{kernel_size}')
    elif kind == 'MlpMixer':
        from mmconvmixer.models.mlp_mixer import MixerArch, resolve_mixer
        given = _given(overrides, MixerArch.__dataclass_fields__, arch)
        if given:
            sizes, _ = resolve_mixer(arch, None)
            _refuse(given, arch, 'arch._delete_=True', *(
                f'arch.{key}={value}' for key, value in {**asdict(sizes), **given}.items()))


def _given(overrides: Mapping[str, Any], sizes: Any, arch: Any) -> dict[str, Any]:
    """Return the sizes that the overrides want to set in a way that does not work."""
    prefixes = (_BACKBONE,) if isinstance(arch, Mapping) else (_BACKBONE, _ARCH)
    return {size: overrides[prefix + size] for size in sizes for prefix in prefixes
            if prefix + size in overrides}


def _refuse(given: dict[str, Any], arch: Any, *instead: str) -> None:
    raise BadConfig(f'{", ".join(given)} (--cfg-options): the architecture is {arch!r} as a whole; '
                    f'set {" ".join(_BACKBONE + each for each in instead)}')
