#!/usr/bin/env python
"""`mmconvmixer analyze` under OpenMMLab's name; --help explains it."""
from mmconvmixer.cli.analyze import main
from mmconvmixer.cli.common import end_process

if __name__ == '__main__':
    end_process(main())
