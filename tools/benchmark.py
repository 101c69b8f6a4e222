#!/usr/bin/env python
"""`mmconvmixer benchmark` under OpenMMLab's name; --help explains it."""
from mmconvmixer.cli.common import end
from mmconvmixer.cli.benchmark import main

if __name__ == '__main__':
    end(main())
