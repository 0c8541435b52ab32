"""Weights that others published, known by their hash; this module loads no torch."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from maskgit.checksums import file_hash


class Published(NamedTuple):
    """A published file: its name there, and its sha256 in hex, or the first digits of it."""

    name: str
    sha256: str

    def is_at(self, path: Path) -> bool:
        """Whether the file at `path` is the published one. Raises OSError where none is there."""
        return file_hash(path).startswith(self.sha256)

    def check(self, path: Path, hash_of: Callable[[Path], str] = file_hash) -> None:
        """Raises FileNotFoundError, or ValueError where the file at `path` is another one.

        hash_of: returns the sha256 of a file in hex, for instance from an earlier reading.
        """
        if not path.is_file():  # reading a pipe would block
            raise FileNotFoundError(f"there is no file {path}")
        found = hash_of(path)
        if not found.startswith(self.sha256):
            raise ValueError(
                f"{path} is not the official {self.name}: "
                f"its sha256 is {found}, and should start with {self.sha256}"
            )


# The official weights of the FID, see `maskgit.scoring.features`.
FID_WEIGHTS = Published(
    "pt_inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)

# torchvision's ImageNet weights of AlexNet, for `maskgit.scoring.lpips_network`. torchvision puts
# the first digits of the hash into the name.
ALEXNET = Published("alexnet-owt-7be5be79.pth", "7be5be79")
