"""Other libraries' warnings stay off the console, in a process of its own: warnings and loggers are global."""

import os
import subprocess
import sys

SCRIPT = """
import logging, warnings, sys
from raykg.cli.quiet import quiet_libraries
logging.basicConfig(level=sys.argv[1])
quiet_libraries()
warnings.warn("is deprecated", FutureWarning)
warnings.warn("look out")
logging.getLogger("DeepSpeed").warning("Setting accelerator to CPU")
"""


def said(level):
    return subprocess.run([sys.executable, "-c", SCRIPT, level], capture_output=True, text=True, timeout=60, check=True).stderr


def test_deprecations_are_not_the_users_concern_unless_the_log_is_shown():
    assert "deprecated" not in said("WARNING") and "DeepSpeed" not in said("WARNING")
    assert "look out" in said("WARNING"), "other warnings are shown"
    assert "deprecated" in said("DEBUG") and "Setting accelerator" in said("DEBUG")


def test_what_is_printed_goes_to_a_file_and_afterwards_to_the_console_again(tmp_path, capfd):
    from raykg.cli.quiet import printing_to

    with printing_to(tmp_path / "logs" / "x.log"):
        os.write(2, b"from below\n")
    os.write(2, b"afterwards\n")
    assert (tmp_path / "logs" / "x.log").read_text() == "from below\n"
    assert capfd.readouterr().err == "afterwards\n"
