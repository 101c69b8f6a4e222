#!/usr/bin/env bash
# Names of layers in the two HDF5 formats that save_weights of tf-keras 2.21.0 writes.
#
# Guess: the names that I gave to the layers are in the file, whatever the file is called.
# Seen:
#   tf-keras 2.21.0 tensorflow 2.21.0
#   weights.h5: head/head/bias:0 head/head/kernel:0 stem/stem/bias:0 stem/stem/kernel:0
#   net.weights.h5: layers/dense/vars/0 layers/dense/vars/1 layers/dense_1/vars/0 layers/dense_1/vars/1
#   net.weights.h5 has the names of the layers in no attribute either: True
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet tensorflow==2.21.0 tf-keras==2.21.0
cd "$scratch"
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python -W ignore - 2> log <<'PYTHON' || { cat log; exit 1; }
import h5py
import tensorflow as tf
import tf_keras as keras

print('tf-keras', keras.__version__, 'tensorflow', tf.__version__)
numbers = keras.Input((3,))
hidden = keras.layers.Dense(4, name='stem')(numbers)
network = keras.Model(numbers, keras.layers.Dense(2, name='head')(hidden))


def arrays(file):
    found = []
    file.visititems(lambda name, each: found.append(name) if hasattr(each, 'shape') else None)
    return sorted(found)


names, attributes = {}, []
for path in ('weights.h5', 'net.weights.h5'):
    network.save_weights(path)
    with h5py.File(path) as file:
        names[path] = arrays(file)
        file.visititems(lambda name, each: attributes.extend(each.attrs.values())
                        if path == 'net.weights.h5' else None)
    print(f'{path}:', *names[path])
nowhere = not any('stem' in str(each) or 'head' in str(each) for each in attributes)
print('net.weights.h5 has the names of the layers in no attribute either:', nowhere)
raise SystemExit(not (nowhere and any('stem' in name for name in names['weights.h5'])
                      and not any('stem' in name for name in names['net.weights.h5'])))
PYTHON
