"""Lists the packages of the wheel; pyproject.toml has everything else.

The folder `weights/` becomes the package `pipeline.weights`, so that an installed `maskgit` finds
the shipped model. A wheel cannot take a folder outside its packages otherwise.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["maskgit*", "pipeline*"]), "pipeline.weights"],
    package_dir={"pipeline.weights": "weights"},
)
