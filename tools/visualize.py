#!/usr/bin/env python
"""`mmconvmixer visualize` under OpenMMLab's name; --help explains it."""
from mmconvmixer.cli.common import end_process
from mmconvmixer.cli.visualize import main

if __name__ == '__main__':
    end_process(main())
