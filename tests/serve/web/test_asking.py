"""Asking on the page: the answer streams in, its proof is drawn, its entities lead on, and every refusal is said plainly."""

from __future__ import annotations

import json

from tests.serve.web.acts import ask, click_node, drawn, nodes_of
from tests.serve.web.small_service import SmallService, running

DIRECTED = "Ridley Scott < directed by > starred actors"


def test_the_answer_streams_in_and_is_marked_as_proved(page, small: SmallService):
    page.evaluate(
        """() => {
          window.states = [];
          new MutationObserver(() => {
            const reply = document.querySelector(".reply");
            if (reply) window.states.push([reply.getAttribute("aria-busy"), reply.querySelector(".words").textContent]);
          }).observe(document.getElementById("turns"), { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    turn = ask(page, DIRECTED)
    record = small.record(DIRECTED)
    assert turn.locator("h3").inner_text() == DIRECTED
    assert turn.locator(".words").inner_text() == record["text"]
    assert turn.locator(".verdict").inner_text().startswith("Proved")
    assert turn.locator(".reply").get_attribute("aria-live") == "polite"
    pieces = list(dict.fromkeys(text for busy, text in page.evaluate("window.states") if busy == "true"))
    assert len(pieces) >= 4, "the words came all at once"
    assert all(record["text"].startswith(piece) for piece in pieces)


def test_the_plan_and_the_facts_are_shown_in_words(page, small: SmallService):
    turn = ask(page, DIRECTED)
    record = small.record(DIRECTED)
    assert turn.locator("code").inner_text() == record["plan"] == DIRECTED
    facts = [" ".join(line.split()) for line in turn.locator(".evidence ol li").all_inner_texts()]
    assert facts == [f"{fact['head']['label']} {fact['relation']} {fact['tail']['label']}" for fact in record["facts"]]
    assert turn.locator(".chips button").all_inner_texts() == [answer["text"] for answer in record["answers"]]
    assert small.graph.version[:8] in turn.locator("p.small").last.inner_text()


def test_the_drawn_proof_has_the_records_nodes_and_facts(page, small: SmallService):
    ask(page, DIRECTED)
    record = small.record(DIRECTED)
    assert len(record["facts"]) >= 5
    assert drawn(page) == {"nodes": len(nodes_of(record)), "facts": len(record["facts"])}
    label = page.locator("#canvas").get_attribute("aria-label")
    assert f"{len(nodes_of(record))} entities and {len(record['facts'])} facts" in label


def test_a_click_on_a_drawn_entity_adds_what_stands_around_it(page, small: SmallService):
    ask(page, "Alien > directed by")
    before = drawn(page)
    film = small.graph.node("f1")
    click_node(page, film)
    page.wait_for_selector("#chosen h3")
    around = small.subgraph(film, 1, 40)
    assert page.locator("#chosen h3").inner_text() == "Alien"
    assert drawn(page) == {"nodes": len(around["nodes"]), "facts": len(around["edges"])} and drawn(page)["nodes"] > before["nodes"]
    page.click("#proof")
    assert drawn(page) == before


def test_an_entity_of_an_answer_leads_on(page, small: SmallService):
    turn = ask(page, "Alien > directed by")
    turn.locator(".chips button").first.click()
    page.wait_for_selector("#chosen h3")
    assert page.locator("#chosen h3").inner_text() == "Ridley Scott"
    page.locator("#chosen .fact button", has_text="Blade Runner").click()
    page.locator("#chosen h3", has_text="Blade Runner").wait_for()
    page.get_by_role("button", name="Ask about it").click()
    assert page.input_value("#question") == "Blade Runner"


def test_entities_are_found_by_name(page, small: SmallService):
    page.fill("#entity", "sigourney weever")
    page.locator("#found button", has_text="Sigourney Weaver").click()
    page.wait_for_selector("#chosen h3")
    node = small.graph.node("sigourney_weaver")
    around = small.subgraph(node, 1, 40)
    assert drawn(page) == {"nodes": len(around["nodes"]), "facts": len(around["edges"])}
    assert page.locator("#found button").count() == 0


def test_what_the_graph_does_not_know_is_marked(page):
    turn = ask(page, "Alien > written by")
    assert turn.locator(".verdict").inner_text().startswith("I do not know")
    assert turn.locator(".verdict.unknown").count() == 1 and turn.locator(".chips").count() == 0


def test_several_turns_go_along_as_history(page, small: SmallService):
    first, second = "Alien > directed by", "Ridley Scott < directed by"
    ask(page, first)
    ask(page, second)
    said = small.asked[-1]["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]
    assert [message["content"] for message in said] == [first, "Ridley Scott", second]
    page.click("#new")
    ask(page, first)
    assert [message["content"] for message in small.asked[-1]["messages"]] == [first]


def test_the_chosen_model_and_strategy_are_asked(page, small: SmallService):
    page.select_option("#model", "other")
    page.select_option("#strategy", "read")
    ask(page, "Alien > directed by")
    assert small.asked[-1]["model"] == "other" and small.asked[-1]["strategy"] == "read" and small.asked[-1]["stream"] is True
    page.select_option("#strategy", "")
    ask(page, "Alien > directed by")
    assert "strategy" not in small.asked[-1]


def test_a_question_can_be_asked_again(page, small: SmallService):
    turn = ask(page, "Alien > directed by")
    turn.get_by_role("button", name="Ask again").click()
    page.locator(".turn").nth(1).locator(".verdict.proved").wait_for()
    assert small.asked[0]["messages"] == small.asked[1]["messages"]


def test_the_record_can_be_downloaded(page, small: SmallService, tmp_path):
    turn = ask(page, "Alien > directed by")
    with page.expect_download() as waiting:
        turn.get_by_role("button", name="Download the record").click()
    waiting.value.save_as(tmp_path / "answer.json")
    assert waiting.value.suggested_filename == "answer.json"
    assert json.loads((tmp_path / "answer.json").read_text()) == small.record("Alien > directed by")


def test_an_answer_can_be_stopped(page, small: SmallService, monkeypatch):
    monkeypatch.setattr("tests.serve.web.small_service.PAUSE", 2.0)
    page.fill("#question", DIRECTED)
    page.press("#question", "Enter")
    page.locator("#send", has_text="Stop").click()
    page.locator(".turn", has_text="Stopped.").wait_for()
    assert page.inner_text("#send") == "Ask"


def test_a_stream_that_breaks_off_is_an_error_with_its_words(page, small: SmallService):
    small.broken = True
    turn = ask(page, DIRECTED)
    box = turn.locator(".error")
    box.wait_for()
    assert "the replica that answered was lost" in box.inner_text()
    assert "replica_lost" in box.inner_text() and "request req-1" in box.inner_text()
    assert box.get_attribute("role") == "alert"


def test_a_missing_key_is_said_plainly_and_can_be_entered(small: SmallService, open_page, problems: list[str]):
    small.key = "rk_right"
    with running(small.app) as address:
        page = open_page(address)
        box = page.locator("#notice .error")
        box.wait_for()
        assert "no such key: make one with `raykg keys create`" in box.inner_text()
        assert "HTTP 401 · invalid_api_key · request req-401" in box.inner_text()
        assert len(problems) == 1 and "401" in problems.pop()  # the browser's own note of the refused request
        box.get_by_role("button", name="Enter a key").click()
        page.fill("#key", "rk_right")
        page.press("#key", "Enter")
        page.wait_for_selector("#model option", state="attached")
        assert page.locator("#notice .error").count() == 0
        assert ask(page, "Alien > directed by").locator(".verdict.proved").count() == 1
        assert page.evaluate("[sessionStorage['raykg.key'], JSON.stringify(localStorage).includes('rk_'), document.cookie]") == [
            "rk_right",
            False,
            "",
        ]
        page.click("#open-settings")
        page.click("#forget-key")
        box.wait_for()
        assert page.evaluate("sessionStorage.length") == 0
        assert len(problems) == 1 and "401" in problems.pop()


def test_a_service_that_is_gone_is_said_plainly(small: SmallService, open_page, problems: list[str]):
    with running(small.app) as address:
        page = open_page(address)
        page.wait_for_selector("#model option", state="attached")
    turn = ask(page, "Alien > directed by")
    assert "The service cannot be reached" in turn.locator(".error").inner_text()
    assert problems and all("ERR_CONNECTION_REFUSED" in problem for problem in problems)
    problems.clear()
