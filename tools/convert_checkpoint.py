#!/usr/bin/env python
"""`mmconvmixer convert` under OpenMMLab's name; --help explains it."""
from mmconvmixer.cli.common import end_process
from mmconvmixer.cli.convert import main

if __name__ == '__main__':
    end_process(main())
