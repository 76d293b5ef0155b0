"""Ray's token: where it is looked for, and the mode without which Ray's job client would send none.

Ray looks in RAY_AUTH_TOKEN, in the file of RAY_AUTH_TOKEN_PATH and in ~/.ray/auth_token, in this order. A Ray that is started here turns
token authentication on by itself; what joins a cluster, or submits jobs to it, does so only with RAY_AUTH_MODE=token.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from raykg.train.errors import TrainError

PLACES = "RAY_AUTH_TOKEN, the file of RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token"
MODE = "RAY_AUTH_MODE"


def find_token(environment: MutableMapping[str, str], home: Path | None = None) -> str | None:
    """Return where Ray's token is, None where there is none.

    Raises:
        TrainError: RAY_AUTH_TOKEN_PATH leads to no token; Ray itself would end the process.
    """
    if environment.get("RAY_AUTH_TOKEN", "").strip():
        return "RAY_AUTH_TOKEN"
    if named := environment.get("RAY_AUTH_TOKEN_PATH"):
        try:
            found = Path(named).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TrainError(f"RAY_AUTH_TOKEN_PATH ({named}): no token can be read there ({error}): name its file, or unset it") from error
        if not found:
            raise TrainError(f"RAY_AUTH_TOKEN_PATH ({named}): the file is empty: write the cluster's token into it")
        return f"RAY_AUTH_TOKEN_PATH ({named})"
    default = (home or Path.home()) / ".ray" / "auth_token"
    return str(default) if default.is_file() and default.read_text(encoding="utf-8", errors="replace").strip() else None


def use_token(environment: MutableMapping[str, str], home: Path | None = None) -> str | None:
    """Turn token authentication on for Ray's client where there is a token and nobody has chosen a mode; return where the token is.

    To be called before Ray is imported: it reads the mode then.

    Raises:
        TrainError: as `find_token`.
    """
    found = find_token(environment, home)
    if found is not None:
        environment.setdefault(MODE, "token")
    return found
