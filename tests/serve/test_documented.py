"""The examples of README and docs/serving.md, as they are written there, against a service: curl, OpenAI's client, `raykg verify`."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from raykg.config.load import from_dict
from raykg.serve.serve_config import ServeConfig
from tests.answer.runs import write_run
from tests.serve.services import beside
from tests.test_readme import ran

ROOT = Path(__file__).parents[2]
WRITTEN = "http://127.0.0.1:8000"  # where the pages say that the service is


def blocks(page, language):
    """Return the code blocks of a page that call the service at its written address."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for block in found if WRITTEN in block]


CURLS = [(page, block) for page in ("README.md", "docs/serving.md") for block in blocks(page, "bash")]


@pytest.fixture(scope="module")
def documented(service, tmp_path_factory):
    """A service of a run called quickstart over the film graph, with the run where `raykg verify` looks for it."""
    folder = tmp_path_factory.mktemp("documented")
    write_run(folder)
    (folder / "runs").mkdir()
    (folder / "runs" / "quickstart").symlink_to(folder / "run")
    with beside(service, folder, "documented", {"quickstart": str(folder / "run")}) as found:
        yield found


def test_the_pages_show_curl_and_openais_client():
    assert {page for page, _ in CURLS} == {"README.md", "docs/serving.md"} and len(CURLS) >= 4
    assert [block.count("stream=True") for block in blocks("docs/serving.md", "python")] == [1]
    assert sum("raykg verify answer.json" in block for _, block in CURLS) == 2


def test_the_services_settings_of_the_page_on_answers_load():
    text = (ROOT / "docs/answers.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^    passages: .*\n(?:    .*\n)+", text, re.MULTILINE)
    cfg = from_dict(ServeConfig, {"models": {"m": "runs/m"}, **yaml.safe_load(textwrap.dedent(block))})
    assert cfg.strategies[0].config.second.reference.startswith("hub:") and cfg.passages == "films.jsonl"


@pytest.mark.parametrize(("page", "block"), CURLS)
def test_curl_gets_what_it_asks_for(documented, page, block):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here: apt-get install curl")
    said = ran(block.replace(WRITTEN, documented.url), documented.folder)
    answer = documented.folder / "answer.json"
    told = said + (answer.read_text() if "> answer.json" in block else "")
    assert "Ridley Scott" in told and '"error":{' not in told.replace(" ", "")
    assert ("answer.json: holds: Ridley Scott (1 proving triple)" in said or "holds: Ridley Scott" in said) == ("raykg verify" in block)
    assert ("James Cameron" in told) == ("Aliens" in block)
    answer.unlink(missing_ok=True)


def test_openais_client_answers_and_streams(documented):
    (block,) = blocks("docs/serving.md", "python")
    code = block.replace(WRITTEN, documented.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text, proof, streamed = done.stdout.splitlines()
    assert text == streamed == "Ridley Scott" and "directed_by" in proof
