import asyncio
import re
import shutil
import threading

import pytest

from raykg.config.errors import RaykgError
from raykg.config.load import from_dict
from raykg.serve.library import Library
from raykg.serve.refusal import Refused
from raykg.serve.serve_config import ServeConfig
from raykg.serve.sharing import hostings
from tests.serve.adapted_runs import text_of, weights_of, write_adapter_run

PROMPT = "who directed Alien? =>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    return {name: write_adapter_run(folder / name, seed) for seed, name in enumerate(["films", "books", "newer"])}


@pytest.fixture
def library(runs):
    models = {name: str(runs[name]) for name in ("films", "books")}
    cfg = from_dict(ServeConfig, {"models": models, "replicas": {"adapters": 1, "batch": 4}})
    (hosting,) = hostings(cfg)
    made = Library(cfg, base=hosting.base)
    made.host(hosting.models)
    yield made
    made.engine.close()


def named(runs, **changes):
    return {name: f"{runs[run]}@{weights_of(runs[run])}" for name, run in ({"films": "films", "books": "books"} | changes).items()}


def written(library, name):
    hosted = library.find(name)

    async def write():
        await library.take(hosted)
        try:
            return str((await asyncio.to_thread(hosted.generator.generate, [PROMPT], 8))[0])
        finally:
            library.give_back(hosted)

    return asyncio.run(write())


def test_models_are_loaded_when_they_are_asked_for(library, runs):
    texts = {name: text_of(runs[name], PROMPT, 8) for name in runs}
    assert len(set(texts.values())) == 3, "the runs do not differ, so nothing is tested"
    for name in ("films", "books", "films"):
        assert written(library, name) == texts[name]
    assert library.shelf.loads == 3 and len(library.shelf.names) == 1
    with pytest.raises(Refused, match="no model 'plays'"):
        library.find("plays")


def test_another_run_takes_the_place_and_a_rollback_brings_the_old_one_back(library, runs):
    before = library.find("films")
    library.host(named(runs, films="newer"))
    after = library.find("films")
    assert after.run == runs["newer"] and after.identity != before.identity and library.find("books").run == runs["books"]
    assert written(library, "films") == text_of(runs["newer"], PROMPT, 8)
    after.check(weights_of(runs["newer"])[:12])
    with pytest.raises(Refused) as refused:
        after.check(weights_of(runs["films"])[:12])
    assert refused.value.status == 409
    library.host(named(runs))
    assert library.find("films").identity == before.identity and written(library, "films") == text_of(runs["films"], PROMPT, 8)
    same = library.find("films")
    library.host(named(runs))
    assert library.find("films") is same, "what stays the same is not opened again"
    library.host({"books": named(runs)["books"]})
    with pytest.raises(Refused, match="no model 'films'"):
        library.find("films")


def test_what_runs_ends_with_the_old_weights(library, runs):
    old = library.find("films")

    async def swap():
        await library.take(old)
        await asyncio.to_thread(library.host, named(runs, films="newer"))
        text = await asyncio.to_thread(old.generator.generate, [PROMPT], 8)
        library.give_back(old)
        return str(text[0])

    assert asyncio.run(swap()) == text_of(runs["films"], PROMPT, 8)
    assert written(library, "films") == text_of(runs["newer"], PROMPT, 8)
    library._moving.submit(int).result()
    assert len(library.shelf.names) == 1, "the old one left when nobody used it"


def test_a_run_that_cannot_be_had_leaves_the_old_one_and_says_why(library, runs, tmp_path):
    before = library.find("films")
    foreign = write_adapter_run(tmp_path / "foreign", 5, "tiny:gpt2", store=runs["films"].parent / "store")
    for run, message in [
        (f"{runs['newer']}@{'0' * 64}", r"what was trained has the hash \w+, announced was 0000"),
        (str(tmp_path / "nowhere"), "no such folder"),
        (str(foreign), "is no adapter of these replicas' base"),
    ]:
        library.host(named(runs) | {"films": run})
        assert library.find("films") is before
        assert re.search(message, library.refused["films"])
    assert written(library, "films") == text_of(runs["films"], PROMPT, 8)
    library.host(named(runs))
    assert not library.refused
    with pytest.raises(RaykgError, match="no such folder"):
        library.host(named(runs) | {"plays": str(tmp_path / "nowhere")})


def test_files_that_change_behind_our_back_are_not_loaded(library, runs, tmp_path):
    copied = shutil.copytree(runs["newer"], tmp_path / "run")
    library.host(named(runs) | {"plays": f"{copied}@{weights_of(copied)}"})
    written(library, "books")
    shutil.copy(runs["films"] / "model" / "adapter" / "adapter_model.safetensors", copied / "model" / "adapter")
    with pytest.raises(Refused, match="cannot be loaded now: .* has changed") as refused:
        written(library, "plays")
    assert (refused.value.status, refused.value.code) == (503, "model_damaged")
    assert written(library, "books") == text_of(runs["books"], PROMPT, 8)


def test_who_leaves_while_it_is_loaded_does_not_hold_it(library):
    busy, hosted = threading.Event(), library.find("books")
    assert hosted.adapter.name not in library.shelf.names, "there is room for one, and films came first"

    async def leave():
        library._moving.submit(busy.wait)
        taking = asyncio.create_task(library.take(hosted))
        await asyncio.sleep(0.01)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        busy.set()

    asyncio.run(leave())
    library._moving.submit(int).result()
    library._moving.submit(int).result()
    assert not library.shelf._users[hosted.adapter.name]


def test_a_run_of_another_graph_is_refused_where_there_is_a_live_one(runs, tmp_path):
    models = {"films": str(runs["films"])}
    settings = {"models": models, "replicas": {"adapters": 1}, "graph": {"storage": str(tmp_path / "edits")}}
    cfg = from_dict(ServeConfig, settings)
    (hosting,) = hostings(cfg)
    library = Library(cfg, base=hosting.base)
    library._graphs["0" * 16] = None
    with pytest.raises(RaykgError, match="the live graph is over 0000000000000000: deploy anew"):
        library.host(hosting.models)
    library.engine.close()
