"""`raykg COMMAND ...`: finds a command in the table below and imports nothing but that command's file.

A command's file exposes `app` (a `typer.Typer`, for a group of commands) or `command` (one function with Typer's annotations). Its
docstring is the help: the indented lines under `Examples:` are shown as they stand, the sections after it (`Raises:` and the like) are
for readers of the code. A `RaykgError` is the user's to repair and is printed in one line without a traceback.
"""

from __future__ import annotations

import atexit
import difflib
import errno
import gc
import importlib
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from raykg import __version__
from raykg.config.errors import ConfigErrors, RaykgError

USAGE_ERROR = 2
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Command(NamedTuple):
    """Is a row of the table: where a command lives and what it is for.

    Attributes:
        module: the file that is imported when the command is given.
        help: one line for `raykg --help`.
        resumes: whether the same command continues after Ctrl-C; the hint then says so.
    """

    module: str
    help: str
    resumes: bool = False


COMMANDS = {
    "kg": Command("raykg.cli.kg", "Import, describe, query and export knowledge graphs."),
    "questions": Command("raykg.cli.questions", "Make questions, plans and answers from a graph, or read a published question set.", True),
    "train": Command("raykg.cli.train", "Fine-tune a language model by a config; --resume continues a stopped run.", True),
    "tune": Command("raykg.cli.tune", "Search the settings with which a job answers best; a sweep goes on after any interruption.", True),
    "evaluate": Command("raykg.cli.evaluate", "Measure a model on held-out questions, with baselines and intervals.", True),
    "construct": Command("raykg.cli.construct", "Read new posts with a learnt model and propose what they say to a live graph."),
    "ask": Command("raykg.cli.ask", "Ask a fine-tuned model a question and see the proof of its answer."),
    "verify": Command("raykg.cli.verify", "Check an answer record: its proof, its answers, what it says in words."),
    "serve": Command("raykg.cli.serve", "Serve models over HTTP, as OpenAI's clients speak it, with the proof of each answer."),
    "keys": Command("raykg.cli.keys", "Make, list, rotate and revoke the keys of a service."),
    "export": Command("raykg.cli.export", "Write a trained model as a plain PEFT adapter or a merged model."),
    "submit": Command("raykg.cli.submit", "Submit a job to a Ray cluster and follow it.", True),
    "jobs": Command("raykg.cli.jobs", "List, follow and stop the jobs of a Ray cluster."),
    "plan": Command("raykg.cli.plan", "Say what a fine-tuning will need before it starts: memory, steps, tokens, time."),
    "check": Command("raykg.cli.check", "Show what a config resolves to and where each value comes from, or all that is wrong with it."),
    "list": Command("raykg.cli.list", "List the methods there are to choose from, each with its paper."),
    "doctor": Command("raykg.cli.doctor", "Say what this machine has, and what would run slowly or not at all."),
}

_FOR_READERS = re.compile(r"^(Args|Raises|Returns|Yields|Attributes|Note|Source|Paper):", re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 the user's mistake, 130 Ctrl-C, 1 anything else."""
    atexit.register(gc.freeze)  # Python would look through torch and transformers for garbage before it ends: more than a second
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments[:1]
    arguments = arguments[1:] if debug else arguments
    name = arguments[0] if arguments else "--help"
    if name in ("--help", "-h", "help"):
        print(_help())
        sys.exit(0)
    if name == "--version":
        print(f"raykg {__version__}")
        sys.exit(0)
    if name not in COMMANDS:
        _fail(_unknown(name))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    sys.exit(_run(name, arguments[1:], debug))


def find_command(name: str) -> Any:  # noqa: ANN401 - Typer's command class has moved between its releases
    """Import a command's file and return what Typer makes of it.

    Raises:
        RaykgError: the file cannot be imported here, or exposes neither `app` nor `command`.
    """
    import typer.main

    row = COMMANDS[name]
    try:
        module = importlib.import_module(row.module)
    except ModuleNotFoundError as error:
        raise RaykgError(
            f"{name}: this installation lacks {error.name}: install raykg again, `raykg doctor` shows what is missing"
        ) from error
    app = getattr(module, "app", None)
    if app is None:
        function = getattr(module, "command", None)
        if function is None:
            raise RaykgError(f"{row.module}: a command's file exposes `app` or `command`")
        app = typer.Typer(add_completion=False)
        app.command(name)(function)
    app.rich_markup_mode = None  # plain help: `[key=value ...]` is not markup, and lines stay as written
    made = typer.main.get_command(app)
    _keep_examples(made)
    return made


def _run(name: str, arguments: list[str], debug: bool) -> int:
    try:
        result = find_command(name).main(args=arguments, prog_name=f"raykg {name}", standalone_mode=False)
    except KeyboardInterrupt:
        return _interrupted(name)
    except RaykgError as error:
        if debug:
            raise
        from raykg.kg.mirror import worded

        _fail(worded(_message(error)))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK and not debug:
            _fail(f"{error.filename or 'the disk'}: cannot be written ({error.strerror}): free space there, or make it writable")
        code = _framework_exit(error)
        if code is None:
            raise
        return code
    # Typer turns Ctrl-C inside a command into this exit code.
    return _interrupted(name) if result == INTERRUPTED else result if isinstance(result, int) else 0


def _framework_exit(error: Exception) -> int | None:
    """Return the exit code of a usage error or an abort of Typer's, having shown it; None for any other exception."""
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong options or arguments
        error.show()
        return int(error.exit_code)
    if type(error).__name__ == "Abort":  # a prompt was left with Ctrl-C or Ctrl-D
        print("raykg: aborted", file=sys.stderr)
        return INTERRUPTED
    return None


def _message(error: RaykgError) -> str:
    cause = getattr(error, "cause", None)  # Ray wraps an error of a task: its text is a traceback, the cause is ours
    error = cause if isinstance(cause, RaykgError) else error
    if isinstance(error, ConfigErrors) and len(error.problems) > 1:
        return f"{len(error.problems)} problems in the config:\n{error}"
    return str(error)


def _fail(message: str) -> NoReturn:
    print(f"raykg: {message}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


def _interrupted(name: str) -> int:
    hint = (
        "what was finished is kept, and the same command continues"
        if COMMANDS[name].resumes
        else "nothing to continue, run it again at any time"
    )
    print(f"\nraykg: stopped by Ctrl-C: {hint}", file=sys.stderr)
    return INTERRUPTED


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"{name}: no such command{f', did you mean {near[0]!r}?' if near else ''} (commands: {', '.join(COMMANDS)})"


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    rows = "\n".join(f"  {name:<{width}}  {row.help}" for name, row in COMMANDS.items())
    return f"""Usage: raykg COMMAND [ARGUMENTS] [OPTIONS]

Teaches language models what a knowledge graph knows, on Ray.

Commands:
{rows}

Options:
  --help     Show this, or with a command its options and examples.
  --version  Show the version.
  --debug    Before a command: show the log, and the traceback of an error.

Examples:
  raykg train jobs/configs/finetune/quickstart.yaml
  raykg train jobs/configs/finetune/quickstart.yaml train.batch=16
  raykg ask "which films did Joel Zwick direct?\""""


def _keep_examples(command: Any) -> None:  # noqa: ANN401 - as find_command
    """Keep the line breaks of indented paragraphs in the help of a command and of those below it, and leave out sections for readers."""
    if command.help:
        text = command.help.replace("\b\n", "")
        found = _FOR_READERS.search(text)
        paragraphs = re.split(r"\n\s*\n", text[: found.start()] if found else text)
        kept = [f"\b\n{part}" if re.search(r"^\s+\S", part, re.MULTILINE) else part for part in paragraphs]
        command.help = "\n\n".join(kept).strip("\n")
    for below in getattr(command, "commands", {}).values():
        _keep_examples(below)
