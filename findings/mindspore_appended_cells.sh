#!/usr/bin/env bash
# Names of the parameters of cells that were appended to a SequentialCell, in MindSpore 2.9.0.
#
# Guess: a parameter's name is the path to it, as in torch: blocks.1.0.weight, whether the cells are
# given to the SequentialCell's constructor or appended to it.
# Seen:
#   mindspore 2.9.0
#   given to the constructor: blocks.0.0.weight blocks.1.0.weight blocks.2.0.weight
#   appended: 0.0.weight 0.1.0.weight 0.2.0.weight
#   The path to the last one is the same in both: blocks[2][0].weight.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet mindspore==2.9.0
cd "$scratch"
venv/bin/python -W ignore - 2> log <<'PYTHON' || { cat log; exit 1; }
import mindspore
from mindspore import nn


class Network(nn.Cell):
    def __init__(self, appended):
        super().__init__()
        cells = [nn.SequentialCell(nn.Dense(2, 2, has_bias=False)) for _ in range(3)]
        self.blocks = nn.SequentialCell() if appended else nn.SequentialCell(cells)
        for cell in cells if appended else ():
            self.blocks.append(cell)


print('mindspore', mindspore.__version__)
names = {}
for appended, how in ((False, 'given to the constructor'), (True, 'appended')):
    network = Network(appended)
    names[appended] = [each.name for each in network.get_parameters()]
    print(f'{how}:', *names[appended])
    same = network.blocks[2][0].weight.name == names[appended][2]
    if not same:
        raise SystemExit('the last parameter is another one')
print('The path to the last one is the same in both: blocks[2][0].weight.')
raise SystemExit(names != {
    False: ['blocks.0.0.weight', 'blocks.1.0.weight', 'blocks.2.0.weight'],
    True: ['0.0.weight', '0.1.0.weight', '0.2.0.weight']})
PYTHON
