"""Two models on one deployment of a real Serve: each answers with its adapter, and exchanging one drops nothing."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest

from raykg.config.load import from_dict, to_dict
from raykg.serve.app import ServeArguments, absolute, build
from raykg.serve.serve_config import ServeConfig
from tests.serve.adapted_runs import text_of, weights_of, write_adapter_run
from tests.serve.services import beside

PROMPT, TOKENS, STREAMED = "who directed Alien? =>", 12, 300


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swapped")
    return {name: write_adapter_run(folder / name, seed) for seed, name in enumerate(["old", "books", "new"])}


@pytest.fixture(scope="module")
def many(service, runs, tmp_path_factory):
    models = {"films": str(runs["old"]), "books": str(runs["books"])}
    changes = {"replicas": {"adapters": 2, "batch": 8}, "graph": {"storage": None}, "limits": {"tokens": STREAMED}}
    with beside(service, tmp_path_factory.mktemp("many"), "many", models, **changes) as found, httpx.Client(timeout=60) as client:
        yield SimpleNamespace(
            url=found.url,
            cfg=found.cfg,
            post=lambda path, **body: client.post(f"{found.url}{path}", json=body),
            get=lambda path: client.get(f"{found.url}{path}").json(),
        )


def application(many, films):
    plain = to_dict(many.cfg)
    cfg = absolute(from_dict(ServeConfig, plain | {"models": plain["models"] | {"films": str(films)}}))
    return build(ServeArguments(settings=to_dict(cfg)))


def deploy(built):
    from ray import serve

    serve.run(built, name="many", route_prefix="/many")


def text(many, model, status=200):
    response = many.post("/v1/completions", model=model, prompt=PROMPT, max_tokens=TOKENS)
    assert response.status_code == status, response.text
    return response.json()["choices"][0]["text"] if status == 200 else response.json()["error"]["code"]


def card(many, model):
    return many.get(f"/v1/models/{model}")["raykg"]


def stream(many):
    """Return when a stream began and ended, and its text; whatever breaks it off is an error."""
    began, pieces, finish = time.monotonic(), [], None
    body = {"model": "films", "prompt": PROMPT, "max_tokens": STREAMED, "stream": True}
    with httpx.stream("POST", f"{many.url}/v1/completions", json=body, timeout=60) as response:
        assert response.status_code == 200
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    for event in map(json.loads, lines[:-1]):
        assert "error" not in event, event
        for choice in event["choices"]:
            pieces.append(choice["text"])
            finish = choice["finish_reason"] or finish
    assert finish in ("length", "stop")
    return began, time.monotonic(), "".join(pieces)


def test_models_that_share_replicas_answer_with_their_own_adapters(many, runs):
    from ray import serve

    names = set(serve.status().applications["many"].deployments)
    assert len(names) == 2 and "gateway" in names, "one deployment for both models"
    assert text(many, "films") == text_of(runs["old"], PROMPT, TOKENS) != text(many, "books") == text_of(runs["books"], PROMPT, TOKENS)
    for name, run in (("films", "old"), ("books", "books")):
        assert card(many, name)["identity"].endswith(f"trained {weights_of(runs[run])}")
        answer = many.post("/v1/answers", question="who directed Alien?", model=name).json()
        assert answer["model"]["name"] == name and answer["model"]["identity"] == card(many, name)["identity"]
    assert text(many, "plays", 404) == "model_not_found"


def test_a_swap_under_streams_drops_none_and_a_rollback_is_one_too(many, runs):
    whole = {name: text_of(runs[name], PROMPT, STREAMED) for name in ("old", "new")}
    assert text(many, f"films@{weights_of(runs['old'])[:12]}")
    steps, stop, found = card(many, "films")["steps"], threading.Event(), []

    def ask():
        while not stop.is_set():
            found.append(stream(many))

    for run, other in (("new", "old"), ("old", "new")):
        built = application(many, runs[run])
        stop.clear()
        found.clear()
        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask) for _ in range(3)]
            time.sleep(0.5)
            began = time.monotonic()
            deploy(built)
            ended = time.monotonic()
            stop.set()
            for one in asking:
                one.result()
        found.append(stream(many))
        assert {words for _, _, words in found} == {whole[run], whole[other]}, "a stream is of one of both, whole"
        assert any(words == whole[other] and start < began < end for start, end, words in found), "none was under way"
        assert all(words == whole[run] for start, _, words in found if start > ended), "what comes after gets the new one"
        assert text(many, f"films@{weights_of(runs[run])[:12]}") == text_of(runs[run], PROMPT, TOKENS)
        assert text(many, f"films@{weights_of(runs[other])[:12]}", 409) == "model_identity_mismatch"
        assert text(many, "books") == text_of(runs["books"], PROMPT, TOKENS)
    assert card(many, "films")["steps"] > steps, "the replica is still the same process"


def test_a_swap_whose_files_do_not_match_leaves_the_old_one_and_says_so(many, runs, tmp_path):
    copied = shutil.copytree(runs["new"], tmp_path / "run")
    built = application(many, copied)
    shutil.copy(runs["books"] / "model" / "adapter" / "adapter_model.safetensors", copied / "model" / "adapter")
    deploy(built)
    assert text(many, "films") == text_of(runs["old"], PROMPT, TOKENS)
    assert "what was trained has the hash" in card(many, "films")["refused"] and str(copied) in card(many, "films")["refused"]
    assert text(many, f"films@{weights_of(runs['old'])[:12]}")
    deploy(application(many, runs["old"]))
    assert "refused" not in card(many, "films")
