"""Requests for updates through a real socket, from another thread as from another process."""

import json
import os
import socket
import threading

import pytest

from raykg.config.errors import RaykgError
from raykg.config.load import from_dict
from raykg.serve import running
from raykg.serve.running import NoServiceError, ask, folder, listening, next_asked
from raykg.serve.serve_config import ServeConfig


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(running.tempfile, "gettempdir", lambda: str(tmp_path))


def config(port=8000):
    return from_dict(ServeConfig, {"models": {"films": "runs/films"}, "http": {"port": port}})


def asking(cfg):
    """Ask in a thread; return what a wait for the answer gives."""
    found = []

    def call():
        try:
            found.append(ask(cfg))
        except RaykgError as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()

    def answer():
        thread.join(5)
        return found[0]

    return answer


@pytest.mark.parametrize(("port", "asked_at"), [(8000, 8000), (8000, 8001)])
def test_a_request_reaches_the_service_and_its_answer_the_caller(tmp_path, monkeypatch, port, asked_at):
    """Also where it names another port: the only service there is says what it cannot change."""
    monkeypatch.chdir(tmp_path)
    with listening(port) as asked:
        answer = asking(config(asked_at))
        request = next_asked(asked, 5.0)
        assert request.settings["models"] == {"films": str(tmp_path / "runs/films")} and request.settings["http"]["port"] == asked_at
        request.reply({"done": "updated"})
        assert answer() == "updated"
        answer = asking(config(port))
        next_asked(asked, 5.0).reply({"refused": "http.port (1): ..."})
        assert isinstance(refusal := answer(), RaykgError) and str(refusal) == "http.port (1): ..."
        assert next_asked(asked, 0.0) is None
    assert not list(folder().iterdir())


def test_nobody_or_several_to_ask_is_said():
    with pytest.raises(NoServiceError, match="no `raykg serve` of this user runs on this machine: start one without --update"):
        ask(config())
    with listening(8000), listening(8001), pytest.raises(NoServiceError, match=r"http.port \(9\): .* run at 8000, 8001: name one"):
        ask(config(9))


def test_a_killed_service_leaves_nothing_that_matters():
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder() / "serve-8000.sock"))
    left.close()
    with pytest.raises(NoServiceError, match="no `raykg serve`"):
        ask(config())
    with listening(8000) as asked:
        answer = asking(config())
        next_asked(asked, 5.0).reply({"done": "x"})
        assert answer() == "x"


def test_a_service_that_stops_refuses_and_one_that_dies_is_said():
    with listening(8000):
        answer = asking(config())
        threading.Event().wait(0.3)
    assert "the service stops" in str(answer())
    with listening(8000) as asked:
        answer = asking(config())
        next_asked(asked, 5.0)._connection.close()
        assert "ended before it answered" in str(answer())


@pytest.mark.parametrize("sent", [b"", b"no json\n", b"[1]\n", b"x" * (2 << 20)])
def test_what_is_no_request_is_dropped(sent):
    with listening(8000) as asked:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(folder() / "serve-8000.sock"))
            try:
                caller.sendall(sent)
                caller.shutdown(socket.SHUT_WR)
                assert caller.recv(1) == b""
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert next_asked(asked, 0.1) is None


def test_a_folder_that_others_can_enter_is_refused(tmp_path):
    place = folder()
    assert place == tmp_path / f"raykg-{os.getuid()}" and place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o755)
    with pytest.raises(NoServiceError, match="only its user can enter"), listening(8000):
        pass
    place.rmdir()
    place.symlink_to(tmp_path)
    with pytest.raises(NoServiceError, match="only its user can enter"):
        ask(config())


def test_a_name_that_is_too_long_for_a_socket_is_said(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr(running.tempfile, "gettempdir", lambda: str(deep))
    with pytest.raises(NoServiceError, match="set TMPDIR to a folder with a short name"), listening(8000):
        pass
    assert json.dumps(list(folder().iterdir())) == "[]"
