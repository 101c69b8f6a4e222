#!/usr/bin/env python
"""`mmconvmixer benchmark` under OpenMMLab's name; --help explains it."""
import sys
from pathlib import Path

# The folder benchmarks/ is part of the checkout, not of the installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmconvmixer.cli.benchmark import main
from mmconvmixer.cli.common import end_process

if __name__ == '__main__':
    end_process(main())
