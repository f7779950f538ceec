"""Compiles the catalogues of languages whenever the package is built; all else is in setup.cfg."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))

from regional311.locale.catalogues import compile_catalogues


class BuildWithLanguages(build_py):
    """The usual build, after the catalogues are compiled."""

    def run(self) -> None:
        """Compile the catalogues, then build."""
        compile_catalogues()
        super().run()


setup(cmdclass={"build_py": BuildWithLanguages})
