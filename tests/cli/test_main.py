import errno
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import typer

from raykg import __version__
from raykg.cli import main as main_file
from raykg.cli.main import COMMANDS, Command, find_command, main
from raykg.config.errors import ConfigErrors, Problem, RaykgError
from tests.cli.run_raykg import raykg

WATCH = "import atexit, sys; atexit.register(lambda: print([name for name in {} if name in sys.modules]))"
RAYKG = Path(sys.executable).with_name("raykg")


@pytest.fixture
def pretend(monkeypatch):
    """Return a function that puts a command into the table."""

    def pretend(name: str, function, resumes: bool = False) -> None:
        module = types.ModuleType(f"pretended_{name}")
        module.command = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(main_file.COMMANDS, name, Command(module.__name__, "Pretends.", resumes))

    return pretend


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_help_lists_every_command_of_the_project(capsys):
    assert set(COMMANDS) == {
        "kg",
        "questions",
        "train",
        "tune",
        "construct",
        "evaluate",
        "ask",
        "verify",
        "serve",
        "keys",
        "export",
        "submit",
        "jobs",
        "plan",
        "check",
        "list",
        "doctor",
    }
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        for name, row in COMMANDS.items():
            assert f"  {name}" in out and row.help in out
        assert all(len(line) <= 120 for line in out.splitlines())


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"raykg {__version__}\n", "")


def test_help_answers_in_under_half_a_second():
    """The fastest of seven runs, for others may have the cores meanwhile; about 0.05 s on an idle machine."""
    seconds = []
    for _ in range(7):
        begin = time.perf_counter()
        subprocess.run([RAYKG, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.5, seconds


def test_help_loads_nothing_heavy():
    assert raykg("--help", code=WATCH.format(("torch", "ray", "numpy", "pydantic", "typer"))).stdout.endswith("\n[]\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_examples(name):
    """Also of the commands below a group; none needs torch or Ray to say what it does."""
    command = find_command(name)
    below = getattr(command, "commands", {})
    for path, part in [(name, command)] if not below else [(f"{name} {key}", value) for key, value in below.items()]:
        context = part.make_context(f"raykg {path}", [], resilient_parsing=True)
        text = part.get_help(context)
        assert f"\n      raykg {path}" in text or f"\n    raykg {path}" in text, f"raykg {path} --help shows no example:\n{text}"
        assert "Raises:" not in text and "\b" not in text
        for parameter in part.params:
            assert getattr(parameter, "help", None), f"raykg {path}: {parameter.name} has no help"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_loads_neither_torch_nor_ray(name):
    done = raykg(name, "--help", code=WATCH.format(("torch", "ray", "transformers")))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")


def test_an_unknown_command_is_suggested_and_listed(capsys):
    code, out, err = run(capsys, "trian")
    assert (code, out) == (2, "")
    assert err.startswith("raykg: trian: no such command, did you mean 'train'? (commands: kg,")
    assert "mean" not in run(capsys, "zzzzzz")[2]


def test_an_error_of_raykg_is_one_line_and_exit_code_2(capsys, pretend):
    def command() -> None:
        raise RaykgError("graph.source (x.tsv): no such file")

    pretend("pretend", command)
    assert run(capsys, "pretend") == (2, "", "raykg: graph.source (x.tsv): no such file\n")


def test_an_error_that_ray_wrapped_is_shown_as_ours(capsys, pretend):
    class Wrapped(RaykgError):
        cause = RaykgError("the cause")

    def command() -> None:
        raise Wrapped("Traceback (most recent call last): ...")

    pretend("pretend", command)
    assert run(capsys, "pretend") == (2, "", "raykg: the cause\n")


def test_a_full_disk_is_one_line(capsys, pretend):
    def command() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/a/report.md")

    pretend("pretend", command)
    told = "raykg: runs/a/report.md: cannot be written (No space left on device): free space there, or make it writable\n"
    assert run(capsys, "pretend") == (2, "", told)


def test_several_problems_stand_below_their_number(capsys, pretend):
    def command() -> None:
        raise ConfigErrors([Problem("a.yaml", 1, "one"), Problem("a.yaml", 2, "two")])

    pretend("pretend", command)
    assert run(capsys, "pretend")[2] == "raykg: 2 problems in the config:\na.yaml:1: one\na.yaml:2: two\n"


def test_debug_shows_the_traceback_of_an_error(pretend):
    def command() -> None:
        raise RaykgError("odd")

    pretend("pretend", command)
    with pytest.raises(RaykgError, match="odd"):
        main(["--debug", "pretend"])


def test_a_mistake_of_the_programme_keeps_its_traceback(pretend):
    def command() -> None:
        raise ZeroDivisionError

    pretend("pretend", command)
    with pytest.raises(ZeroDivisionError):
        main(["pretend"])


def test_an_exit_code_of_a_command_is_passed_on(capsys, pretend):
    def command() -> None:
        raise typer.Exit(3)

    pretend("pretend", command)
    assert run(capsys, "pretend")[0] == 3


def test_wrong_arguments_are_exit_code_2(capsys):
    code, _, err = run(capsys, "check")
    assert code == 2 and "Usage: raykg check" in err and "issing argument" in err
    assert run(capsys, "check", "a.yaml", "--no-such-option")[0] == 2


@pytest.mark.parametrize(("resumes", "hint"), [(True, "the same command continues"), (False, "run it again at any time")])
def test_ctrl_c_is_exit_code_130_with_a_hint(capsys, pretend, resumes, hint):
    def command() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    pretend("pretend", command, resumes)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background inherit that it is ignored
    try:
        code, _, err = run(capsys, "pretend")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130 and "stopped by Ctrl-C" in err and hint in err
    assert "Traceback" not in err


def test_leaving_a_prompt_is_no_error_of_the_programme(capsys, pretend):
    def command() -> None:
        raise typer.Abort()

    pretend("pretend", command)
    code, _, err = run(capsys, "pretend")
    assert code == 130 and err == "raykg: aborted\n"


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(main_file.COMMANDS, "pretend", Command("a_package_that_nobody_has.cli", "Pretends."))
    code, _, err = run(capsys, "pretend")
    assert code == 2 and "this installation lacks a_package_that_nobody_has" in err


def test_a_file_without_a_command_is_named(monkeypatch, capsys):
    monkeypatch.setitem(main_file.COMMANDS, "pretend", Command("raykg.cli", "Pretends."))
    code, _, err = run(capsys, "pretend")
    assert code == 2 and "a command's file exposes `app` or `command`" in err


def test_help_keeps_examples_as_written_and_leaves_out_what_is_for_readers(pretend, capsys):
    def command() -> None:
        """Do it.

        A paragraph that is
        joined.

        Examples:
            raykg pretend one
            raykg pretend two [key=value]

        Raises:
            RaykgError: never.
        """

    pretend("pretend", command)
    code, out, _ = run(capsys, "pretend", "--help")
    assert code == 0
    assert "A paragraph that is joined." in out and "Raises" not in out
    assert "      raykg pretend one\n      raykg pretend two [key=value]\n" in out


def test_a_reader_that_goes_away_is_no_traceback():
    command = f"{sys.executable} -c 'from raykg.cli.main import main; main()' list formats | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
