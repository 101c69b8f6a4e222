"""1,000 changed files of each format: an error of this package, or exactly the right weights.

    pytest -m slow -rP tests/checkpoints/test_fuzz.py

Each file has its own seed, which a failure names. TensorFlow's part needs `pip install '.[tf]'`.
"""
import io
import pickle
import random
import signal
import struct
import zipfile
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
import torch

from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.checkpoints.layouts import layout_named
from mmconvmixer.errors import MMConvMixerError


def classifier(width, pooled, **backbone):
    return dict(type='ImageClassifier', backbone=backbone,
                neck=dict(type='GlobalAveragePooling', dim=pooled),
                head=dict(type='LinearClsHead', num_classes=3, in_channels=width))


MODEL = classifier(4, 2, type='ConvMixer', arch='4/2-p2-k3')
MIXER = classifier(8, 1, type='MlpMixer', img_size=16, patch_size=8, arch=dict(
    embed_dims=8, num_layers=1, tokens_mlp_dims=4, channels_mlp_dims=6))
FILES = 1000
SECONDS = 20  # most for one file; a usual one takes a hundredth of a second

# Numbers that lengths, offsets and counts like least.
SIZES = [0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 1 << 40, 0x7fffffffffffffff]


def flip_bits(content, chance):
    for _ in range(chance.choice((1, 2, 16))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def cut_short(content, chance):
    del content[chance.randrange(len(content)):]


def cut_out(content, chance):
    start = chance.randrange(len(content))
    del content[start:start + chance.randrange(1, 100)]


def repeat(content, chance):
    start = chance.randrange(len(content))
    content[start:start] = content[start:start + chance.randrange(1, 300)]


def copy_over(content, chance):
    length, start, other = chance.randrange(1, 300), *(
        chance.randrange(len(content)) for _ in range(2))
    piece = content[start:start + length]
    content[other:other + len(piece)] = piece


def blank(content, chance):
    start, byte = chance.randrange(len(content)), chance.choice((0, 255, 32))
    length = min(chance.randrange(1, 500), len(content) - start)
    content[start:start + length] = bytes([byte]) * length


def write_size(content, chance):
    start, kind = chance.randrange(len(content)), chance.choice(('<H', '<I', '<Q', '>I', '>Q'))
    size = chance.choice(SIZES) & ((1 << 8 * struct.calcsize(kind)) - 1)
    piece = struct.pack(kind, size)[:len(content) - start]
    content[start:start + len(piece)] = piece


def append(content, chance):
    content += chance.randbytes(chance.randrange(1, 200))


def in_the_beginning(content, chance):
    """Change one of the bytes that say of what kind a file is, and where things are."""
    content[chance.randrange(min(64, len(content)))] = chance.randrange(256)


def in_the_end(content, chance):
    content[-1 - chance.randrange(min(64, len(content)))] = chance.randrange(256)


CHANGES = (flip_bits, cut_short, cut_out, repeat, copy_over, blank, write_size, append,
           in_the_beginning, in_the_end)


def as_torch(zipped=True, protocol=2):
    def write(weights, path):
        torch.save(dict(state_dict=weights, meta=dict(epoch=1)), path, pickle_protocol=protocol,
                   _use_new_zipfile_serialization=zipped)
        return [path]
    return write


def as_safetensors(weights, path):
    plain = path.with_name('plain.pth')
    torch.save(weights, plain)
    convert(plain, path, 'safetensors')
    plain.unlink()
    return [path]


def as_npz(compressed):
    def write(weights, path):
        arrays = {key: value.numpy() for key, value in layout_named(
            'flax', 'MLP-Mixer').from_mmpretrain(weights).items()}
        buffer = io.BytesIO()
        (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
        path.write_bytes(buffer.getvalue())
        return [path]
    return write


def as_tensorflow(weights, path):
    tf = pytest.importorskip('tensorflow', reason='TensorFlow is not installed')
    module = tf.Module()
    module.all = [tf.Variable(value.numpy(), name=key) for key, value in layout_named(
        'keras', 'ConvMixer').from_mmpretrain(weights).items()]
    tf.saved_model.save(module, str(path))
    return sorted((path / 'variables').iterdir())


def as_keras(weights, path):
    with h5py.File(path, 'w') as file:
        for key, value in layout_named('keras', 'ConvMixer').from_mmpretrain(weights).items():
            layer, _, variable = key.rpartition('/')
            if variable not in NUMBERS:
                continue
            group = file.require_group(f'layers/{layer}/vars')
            group.attrs['name'] = layer
            group[str(NUMBERS[variable])] = value.numpy()
    return [path]


# Of a layer's variables in Keras 3.
NUMBERS = dict(kernel=0, bias=1, gamma=0, beta=1, moving_mean=2, moving_variance=3)


def as_paddle(weights, path):
    arrays = {key: (value.t() if value.dim() == 2 else value).numpy()
              for key, value in weights.items()}
    path.write_bytes(pickle.dumps({**arrays, 'StructuredToParameterName@@': {}}, 4))
    return [path]


def as_keras2(weights, path):
    with h5py.File(path, 'w') as file:
        variables = {}
        for key, value in layout_named('keras', 'ConvMixer').from_mmpretrain(weights).items():
            variables.setdefault(key.rpartition('/')[0], []).append((f'{key}:0', value.numpy()))
        file.attrs['layer_names'] = [layer.encode() for layer in variables]
        for layer, named in variables.items():
            group = file.create_group(layer)
            group.attrs['weight_names'] = [name.encode() for name, _ in named]
            for name, value in named:
                group[name] = value
    return [path]


def as_keras_archive(weights, path):
    inside = path.with_name('model.weights.h5')
    as_keras(weights, inside)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('config.json', '{}')
        archive.write(inside, inside.name)
    return [path]


def nested(arrays):
    tree = {}
    for name, value in arrays.items():
        *groups, last = name.split('/')
        inside = tree
        for group in groups:
            inside = inside.setdefault(group, {})
        inside[last] = value
    return tree


def as_flaim(weights, path):
    arrays = {f'{"batch_stats" if key.endswith(("/mean", "/var")) else "params"}/{key}':
              value.numpy() for key, value in layout_named(
                  'flaim', 'ConvMixer').from_mmpretrain(weights).items()}
    path.write_bytes(pickle.dumps(nested(arrays)))
    return [path]


def as_msgpack(weights, path):
    from flax.serialization import msgpack_serialize
    path.write_bytes(msgpack_serialize(nested(
        {key: value.numpy() for key, value in layout_named(
            'flax', 'MLP-Mixer').from_mmpretrain(weights).items()})))
    return [path]


def as_orbax(use_ocdbt):
    def write(weights, path):
        import orbax.checkpoint as orbax
        checkpointer = orbax.Checkpointer(orbax.PyTreeCheckpointHandler(use_ocdbt=use_ocdbt))
        checkpointer.save(path, args=orbax.args.PyTreeSave(nested(
            {key: value.numpy() for key, value in layout_named(
                'flax', 'MLP-Mixer').from_mmpretrain(weights).items()})))
        return sorted(each for each in path.rglob('*') if each.is_file())
    return write


def as_mindspore(weights, path):
    def field(number, content):
        length, encoded = len(content), bytearray()
        while length > 0x7f:
            encoded.append(length & 0x7f | 0x80)
            length >>= 7
        return bytes([number << 3 | 2, *encoded, length]) + content
    path.write_bytes(b''.join(
        field(1, field(1, name.encode()) + field(2, b''.join(
            bytes([8, size]) for size in value.shape) + field(2, b'Float32') + field(
                3, value.numpy().tobytes())))
        for name, value in layout_named('mindcv', 'MLP-Mixer').from_mmpretrain(weights).items()))
    return [path]


# Format -> (the network, how its file is written, whether the file protects its numbers).
FORMATS = {
    'torch': (MODEL, as_torch(), True),
    'torch, protocol 4': (MODEL, as_torch(protocol=4), True),
    'torch before 1.6': (MODEL, as_torch(zipped=False), False),
    'safetensors': (MODEL, as_safetensors, True),
    'npz': (MIXER, as_npz(compressed=False), True),
    'compressed npz': (MIXER, as_npz(compressed=True), True),
    'Keras': (MODEL, as_keras, False),
    'Keras 2': (MODEL, as_keras2, False),
    'whole Keras': (MODEL, as_keras_archive, True),
    'flaim': (MODEL, as_flaim, False),
    'msgpack': (MIXER, as_msgpack, False),
    'Orbax': (MIXER, as_orbax(use_ocdbt=True), False),
    'Orbax, a folder for each array': (MIXER, as_orbax(use_ocdbt=False), False),
    'MindSpore': (MIXER, as_mindspore, False),
    'Paddle': (MODEL, as_paddle, False),
    'TensorFlow': (MODEL, as_tensorflow, True),
}


NO_ZIPS = (as_safetensors, as_keras, as_keras2, as_paddle, as_flaim, as_msgpack, as_mindspore)


class TookTooLong(BaseException):
    """Not an Exception, so that nothing on the way takes it for one of its own."""


@contextmanager
def bounded_time():
    def stop(*_):
        raise TookTooLong
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def problem_with(path, model, expected, protected):
    """Read a file; return what is wrong with the outcome, None if nothing is, '' if refused."""
    with torch.no_grad():
        for value in model.state_dict().values():
            value.zero_()
    try:
        with bounded_time():
            load_weights(model, state_dict_of(read_checkpoint(path), str(path)), str(path))
    except MMConvMixerError as error:
        said = str(error)
        return '' if len(said.splitlines()) == 1 and len(said) < 5000 else f'said {said!r}'
    except TookTooLong:
        return f'took more than {SECONDS} seconds'
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    wrong = [key for key, value in model.state_dict().items()
             if protected and not torch.equal(value, expected[key])]
    return f'wrong: {wrong}' if wrong else None


@pytest.mark.slow
@pytest.mark.parametrize('kind', FORMATS)
def test_a_changed_file_is_refused_or_harmless(kind, tmp_path):
    model_cfg, write, protected = FORMATS[kind]
    torch.manual_seed(0)
    model = build_model(model_cfg)
    expected = {key: value.clone() for key, value in model.state_dict().items()}
    path = tmp_path / 'net'
    files = write(expected, path)
    contents = [file.read_bytes() for file in files]
    assert problem_with(path, model, expected, protected=True) is None
    strange, refused = [], 0
    for seed in range(FILES):
        chance = random.Random(seed)
        which = chance.randrange(len(files))
        changed = bytearray(contents[which])
        for _ in range(chance.choice((1, 1, 2))):
            if changed:
                chance.choice(CHANGES)(changed, chance)
        files[which].write_bytes(changed)
        problem = problem_with(path, model, expected, protected)
        files[which].write_bytes(contents[which])
        refused += problem == ''
        strange += [(seed, problem)] * bool(problem)
    print(f'{kind}: {refused} of {FILES} files were refused, {len(strange)} were strange')
    assert strange == []
    assert refused > FILES / 4  # or the changes change nothing


def test_the_files_are_those_of_their_formats(tmp_path):
    torch.manual_seed(0)
    for number, (model_cfg, write, _) in enumerate(FORMATS.values()):
        if write is as_tensorflow:
            continue
        model = build_model(model_cfg)
        expected = {key: value.clone() for key, value in model.state_dict().items()}
        path = tmp_path / str(number)
        write(expected, path)
        assert problem_with(path, model, expected, protected=True) is None
        assert zipfile.is_zipfile(path) == (
            path.is_file() and write not in NO_ZIPS and number != 2)
