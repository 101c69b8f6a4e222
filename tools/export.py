#!/usr/bin/env python
"""`mmconvmixer export` under OpenMMLab's name; --help explains it."""
from mmconvmixer.cli.common import end
from mmconvmixer.cli.export import main

if __name__ == '__main__':
    end(main())
