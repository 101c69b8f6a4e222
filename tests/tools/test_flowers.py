"""The flowers' recipe from end to end: a published archive, published weights, a checkpoint."""
import hashlib
import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

import mmconvmixer.datasets.flowers as flowers
from mmconvmixer import get_model, inference_model
from mmconvmixer.checkpoints import read_checkpoint, write_checkpoint
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.zoo.config import load_config

SMALL = {
    'convmixer/convmixer-768-32_flowers': {
        'model.backbone.arch': '8/2-p32-k3', 'model.head.in_channels': 8},
    'mlp_mixer/mlp-mixer-base-p16_flowers': {
        'model.backbone.patch_size': 32, 'model.head.in_channels': 8,
        'model.backbone.arch': dict(_delete_=True, embed_dims=8, num_layers=2,
                                    tokens_mlp_dims=4, channels_mlp_dims=16)},
}


@pytest.fixture
def published(server, monkeypatch):
    """Six images of each flower, at a loopback address."""
    generator = np.random.default_rng(0)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz') as tar:
        for name in flowers.Flowers.METAINFO['classes']:
            for number in range(6):
                jpeg = io.BytesIO()
                pixels = generator.integers(0, 256, (20, 30, 3), np.uint8)
                Image.fromarray(pixels).save(jpeg, 'jpeg')
                info = tarfile.TarInfo(f'flower_photos/{name}/{number}.jpg')
                info.size = jpeg.tell()
                jpeg.seek(0)
                tar.addfile(info, jpeg)
    (server.folder / 'flower_photos.tgz').write_bytes(packed.getvalue())
    monkeypatch.setattr(flowers, 'URL', f'{server.url}/flower_photos.tgz')
    monkeypatch.setattr(flowers, 'SHA256', hashlib.sha256(packed.getvalue()).hexdigest())
    return server


def publish_weights(server, config, changes):
    """Replace the config's weights by those of a small network with a thousand classes."""
    cfg = load_config(config, {**changes, 'model.head.num_classes': 1000})
    model = get_model(cfg)
    plain = server.folder / 'plain.pth'
    write_checkpoint(dict(state_dict=model.state_dict()), plain)
    if cfg.load_from.endswith('.npz'):
        convert(plain, server.folder / 'weights.npz', 'flax')
        return 'weights.npz', model.state_dict()
    return plain.name, model.state_dict()


@pytest.mark.parametrize('name', SMALL)
def test_the_recipe_runs_from_download_to_prediction(
        tool, repo, published, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    config, changes = repo / f'configs/{name}.py', SMALL[name]
    torch.manual_seed(0)
    file, before = publish_weights(published, config, changes)
    small = tmp_path / 'small.py'
    small.write_text(f"_base_ = ['{config}']\nmodel = " + repr(load_config(
        config, changes).model.to_dict()).replace("{'type'", "{'_delete_': True, 'type'", 1))
    done = tool('train', small, '--cfg-options', f'load_from={published.url}/{file}',
                'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0')
    assert done.code == 0, done.err
    assert published.asked.count('/flower_photos.tgz') == 1
    assert 'for 5 classes' in done.out and '(1000 classes) is not loaded' in done.out

    path = tmp_path / 'work_dirs/small/epoch_8.pth'
    saved = read_checkpoint(path)
    assert saved['meta']['iter'] == 8 and saved['meta']['dataset_meta']['classes'][0] == 'daisy'
    assert saved['meta']['data']['train']['images'] == 25
    for key, value in before.items():  # except for the head, near the initial weights
        if key.startswith('backbone.') and 'running' not in key and 'num_batches' not in key:
            assert (saved['state_dict'][key] - value).abs().max() < 0.3, key
    if file.endswith('.npz'):
        assert saved['meta']['converted'] == dict(numerics='flax')

    tested = tool('test', small, path, '--cfg-options', 'test_dataloader.num_workers=0')
    assert tested.code == 0 and '[1/1]' in tested.out and 'tulips' in tested.out, tested.err
    answer = inference_model(str(small), 'data/flowers/roses/0.jpg', pretrained=str(path))
    assert answer['pred_class'] in flowers.Flowers.METAINFO['classes']
