#!/usr/bin/env python
"""`mmconvmixer test` under OpenMMLab's name; --help explains it."""
from mmconvmixer.cli.common import end_process
from mmconvmixer.cli.test import main

if __name__ == '__main__':
    end_process(main())
