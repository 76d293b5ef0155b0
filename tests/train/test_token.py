import pytest

from raykg.train.errors import TrainError
from raykg.train.token import find_token, use_token


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".ray").mkdir()
    return tmp_path


def test_ray_s_places_are_looked_at_in_ray_s_order(home):
    assert find_token({}, home) is None
    (home / ".ray" / "auth_token").write_text("c")
    assert find_token({}, home) == str(home / ".ray" / "auth_token")
    named = home / "token"
    named.write_text("b\n")
    assert find_token({"RAY_AUTH_TOKEN_PATH": str(named)}, home) == f"RAY_AUTH_TOKEN_PATH ({named})"
    assert find_token({"RAY_AUTH_TOKEN": "a", "RAY_AUTH_TOKEN_PATH": str(named)}, home) == "RAY_AUTH_TOKEN"


def test_the_mode_is_set_where_there_is_a_token_and_nobody_chose(home):
    environment = {}
    assert use_token(environment, home) is None and environment == {}
    environment = {"RAY_AUTH_TOKEN": "a"}
    assert use_token(environment, home) == "RAY_AUTH_TOKEN" and environment["RAY_AUTH_MODE"] == "token"
    environment = {"RAY_AUTH_TOKEN": "a", "RAY_AUTH_MODE": "disabled"}
    use_token(environment, home)
    assert environment["RAY_AUTH_MODE"] == "disabled"


def test_a_path_without_a_token_is_refused(home):
    with pytest.raises(TrainError, match=r"RAY_AUTH_TOKEN_PATH \(/nowhere/x\): no token can be read there"):
        find_token({"RAY_AUTH_TOKEN_PATH": "/nowhere/x"}, home)
    (home / "empty").write_text(" \n")
    with pytest.raises(TrainError, match="the file is empty: write the cluster's token into it"):
        find_token({"RAY_AUTH_TOKEN_PATH": str(home / "empty")}, home)
