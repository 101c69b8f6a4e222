"""mmengine's own loading, in mmpretrain's get_model and `init_cfg`, is safe too."""
import pickle

import mmpretrain
import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint

from mmconvmixer import get_model, zoo
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.errors import BadCheckpoint, UnsafeCheckpoint
from mmconvmixer.registry import register, unregister

DIGITS = 'convmixer-64-4_digits'


class Trap:
    def __reduce__(self):
        return print, ('code ran',)


def test_a_pretrained_init_cfg_reads_a_training_checkpoint(trained, toy_config):
    """It contains a HistoryBuffer, which torch.load alone refuses."""
    model = get_model(toy_config, init_cfg=dict(type='Pretrained', checkpoint=str(trained)))
    model.init_weights()
    saved = get_model(toy_config, pretrained=str(trained))
    assert torch.equal(model.backbone.stem[0].weight, saved.backbone.stem[0].weight)


def test_a_pretrained_init_cfg_reads_another_librarys_file(trained, toy_config, tmp_path):
    other = convert(trained, tmp_path / 'timm.safetensors', 'timm').path
    model = get_model(toy_config, init_cfg=dict(type='Pretrained', checkpoint=str(other)))
    model.init_weights()
    saved = get_model(toy_config, pretrained=str(trained))
    assert all(map(torch.equal, model.state_dict().values(), saved.state_dict().values()))


def test_mmpretrains_get_model_runs_no_code(tmp_path, capsys):
    path = tmp_path / 'trap.pth'
    path.write_bytes(b'')
    with open(path, 'wb') as file:
        pickle.dump(dict(state_dict=Trap()), file)
    get_model(DIGITS)
    with pytest.raises((UnsafeCheckpoint, BadCheckpoint)):
        mmpretrain.get_model(DIGITS, pretrained=str(path))
    assert 'code ran' not in capsys.readouterr().out


def test_safe_loading_is_undone_with_the_registration():
    get_model(DIGITS)
    model, weights = torch.nn.Linear(1, 1), zoo.find(DIGITS).weights
    unregister()
    try:
        from mmengine.runner.checkpoint import CheckpointLoader, load_from_local
        assert CheckpointLoader._schemes[''] is load_from_local
    finally:
        register()
    assert load_checkpoint(model, weights)['meta']['dataset_meta']
