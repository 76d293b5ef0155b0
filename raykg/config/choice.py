"""A section whose `name:` picks a file of a folder: the folder is the registry.

In a field annotated with `Choice("raykg.models.injection")`, the value `{name: kformer, facts: 8}` (or just `kformer`) imports
`raykg.models.injection.kformer` and reads the other keys into its `Config`. A name with a dot in it is a module of one's own and is
imported as given, so a method can live outside this package. Nothing of a folder is imported before it is chosen.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args

from raykg.config.errors import Plain, RaykgError, TypeForm

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import CoreSchema

Config: TypeAlias = Any  # an instance of a class made by `raykg.config.schema.config`; which one, only the method's file knows


class ChoiceError(RaykgError):
    """Says that a name is not in its folder, or that its file is not what a choice must be."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Is a chosen method: the folder it came from, its name there, and its own typed settings."""

    folder: str
    name: str
    config: Config

    def module(self) -> ModuleType:
        """Import and return the method's file."""
        return find_module(self.folder, self.name)

    def method(self) -> type[Any]:
        """Import the method's file and return its one public class.

        Raises:
            ChoiceError: the file has none, or several.
        """
        module = self.module()
        classes = public_classes(module)
        if len(classes) != 1:
            names = ", ".join(found.__name__ for found in classes) or "none"
            raise ChoiceError(f"{module.__name__}: a choice has exactly one public class beside Config, found {names}")
        return classes[0]


class Choice:
    """Marks a field whose value is a method of `folder`: `Annotated[Chosen, Choice("raykg.models.injection")]`."""

    __slots__ = ("folder",)

    def __init__(self, folder: str) -> None:
        """Remember the dotted name of the folder; it need not exist yet."""
        self.folder = folder

    def __class_getitem__(cls, folder: TypeForm) -> TypeForm:
        """Return the annotated type: `Choice["raykg.models.injection"]`."""
        text = folder if isinstance(folder, str) else get_args(folder)[0]  # or Literal["..."], which type checkers leave alone
        return Annotated[Chosen, cls(text)]

    def __repr__(self) -> str:
        """Return the call that makes this mark."""
        return f"Choice({self.folder!r})"

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        """Tell pydantic how a choice is read."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, value: object) -> Chosen:
        from pydantic_core import PydanticCustomError

        if isinstance(value, Chosen):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise PydanticCustomError("choice", "is not a choice")
        settings = dict(value)
        name = settings.pop("name")
        try:
            section = config_class(self.folder, name)
        except ChoiceError as error:
            raise PydanticCustomError("choice", "{why}", {"why": str(error)}) from error
        return Chosen(self.folder, name, read_section(section, settings))


def read_section(section: type[Any], settings: Mapping[str, Plain]) -> Config:
    """Validate plain settings into a config class, strictly and through JSON, so that lists become tuples and "yes" stays text.

    Raises:
        pydantic.ValidationError: with all problems; only the loader sees it.
    """
    return adapter(section).validate_json(json.dumps(settings), strict=True)  # type: ignore[arg-type]  # a class is hashable


@lru_cache(maxsize=256)
def adapter(section: type[Any]) -> TypeAdapter[Any]:
    """Return pydantic's validator of a config class; building one takes milliseconds."""
    from pydantic import TypeAdapter

    return TypeAdapter(section)


def chosen(folder: str, name: str, **settings: Plain) -> Chosen:
    """Return the method `name` of `folder` with `settings`, validated; for defaults and tests.

    Raises:
        ChoiceError: unknown name.
        ConfigErrors: wrong settings.
    """
    from raykg.config.load import from_dict

    return Chosen(folder, name, from_dict(config_class(folder, name), settings))


def names(folder: str) -> list[str]:
    """List the names of a choice folder, sorted; reads the folder and imports nothing.

    Raises:
        ChoiceError: there is no such folder.
    """
    return sorted(file.stem for file in _folder_path(folder).glob("*.py") if not file.stem.startswith("_"))


def find_module(folder: str, name: str) -> ModuleType:
    """Import the file of a method; a name with a dot is imported as given.

    Raises:
        ChoiceError: unknown name (lists and suggests), or the file cannot be imported.
    """
    if "." not in name and name not in (known := names(folder)):
        raise ChoiceError(f"({name}): no such method in {folder}{suggestion(name, known)} (names: {', '.join(known) or 'none yet'})")
    dotted = name if "." in name else f"{folder}.{name}"
    try:
        return importlib.import_module(dotted)
    except (ImportError, ValueError, TypeError) as error:
        raise ChoiceError(f"({name}): cannot be imported: {error}") from error


def config_class(folder: str, name: str) -> type[Any]:
    """Return the `Config` of a method.

    Raises:
        ChoiceError: as `find_module`, or the file has no `Config` made with `raykg.config.schema.config`.
    """
    from raykg.config.schema import is_config

    module = find_module(folder, name)
    section: Any = getattr(module, "Config", None)
    if not is_config(section):
        raise ChoiceError(f"({name}): {module.__name__} is not a method, it has no class Config made with raykg.config.schema.config")
    if "name" in section.__dataclass_fields__:
        raise ChoiceError(f"({name}): the Config of {module.__name__} has a setting called `name`, which is the choice's own: rename it")
    found: type[Any] = section
    return found


def public_classes(module: ModuleType) -> list[type[Any]]:
    """Return the classes that a method's file defines for others: no configs, no errors, nothing private or imported."""
    from raykg.config.schema import is_config

    return [
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and not is_config(value)
        and not issubclass(value, BaseException)
    ]


def suggestion(found: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(found.lower(), list(known), n=1, cutoff=0.6)
    return f", did you mean '{near[0]}'?" if near else ""


def _folder_path(folder: str) -> Path:
    top, *rest = folder.split(".")
    spec = importlib.util.find_spec(top)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(root, *rest)
        if path.is_dir():
            return path
    raise ChoiceError(f"{folder}: no such folder of methods")
