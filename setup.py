"""The parts of a build that pyproject.toml can't express.

OpenMMLab's tools look for a package's configs, tools and model index in the folder
`.mim` inside it. A build copies them there, an editable install links them. A build
also writes down the git commit, for the records of training runs.
"""
import os
import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
MIM = ('configs', 'tools', 'model-index.yml')


def copy_mim(package: Path) -> None:
    """Replace `package/.mim` by copies of `MIM`."""
    target = package / '.mim'
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in MIM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name,
                            ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy2(source, target / name)


def link_mim(package: Path) -> None:
    """Replace `package/.mim` by links to `MIM`."""
    target = package / '.mim'
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in MIM:
        (target / name).symlink_to(os.path.relpath(ROOT / name, target))


def write_revision(package: Path) -> None:
    """Write the checkout's commit into `package`; an sdist keeps the one it has."""
    module = runpy.run_path(str(ROOT / 'mmconvmixer/_support/git_revision.py'))
    revision = module['checkout_revision'](ROOT)
    if revision:
        (package / module['BUILT_FROM']).write_text(revision)


class BuildWithMim(build_py):

    def run(self):
        # Otherwise files of an earlier build would be packed again.
        shutil.rmtree(Path(self.build_lib) / 'mmconvmixer', ignore_errors=True)
        super().run()
        if self.editable_mode:
            link_mim(ROOT / 'mmconvmixer')
        else:
            copy_mim(Path(self.build_lib) / 'mmconvmixer')
            write_revision(Path(self.build_lib) / 'mmconvmixer')


class SdistWithMim(sdist):

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        copy_mim(Path(base_dir) / 'mmconvmixer')
        write_revision(Path(base_dir) / 'mmconvmixer')


setup(cmdclass=dict(build_py=BuildWithMim, sdist=SdistWithMim))
