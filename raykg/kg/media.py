"""Images that are attributes of entities: how a graph names a file, and where that file is.

The `image` column of a graph holds `package:<package>/<path>` for images that come with a Python package, as the flags of the built-in
geography do, so that a version is the same on every machine; anything else is a path, relative ones counted from a folder that the caller
names.

    path = image_path("package:raykg.kg.builtin/flags/fr.png")
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from raykg.kg.errors import KgError

PACKAGED = "package:"


def image_path(name: str, folder: Path | None = None) -> Path:
    """Return the file that an `image` value names.

    Args:
        name: value of the entity column `image`.
        folder: what relative paths count from.

    Raises:
        KgError: there is no such file, the package is not installed, or the path leaves its package or folder.
    """
    if name.startswith(PACKAGED):
        package, _, inside = name.removeprefix(PACKAGED).partition("/")
        root = _package_folder(name, package)
    else:
        inside, root = name, folder or Path()
    path = root / inside
    if (name.startswith(PACKAGED) or folder is not None) and not path.resolve().is_relative_to(root.resolve()):
        raise KgError(f"image {name!r}: leaves {root}; an image lies inside its package or folder")
    if not path.is_file():
        raise KgError(f"image {name!r}: no file {path}")
    return path


def _package_folder(name: str, package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise KgError(f"image {name!r}: package {package!r} is not installed here")
    return Path(next(iter(spec.submodule_search_locations)))
