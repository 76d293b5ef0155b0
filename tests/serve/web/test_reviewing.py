"""Reviewing on the page: what is proposed is shown with its evidence, decided, and then in the graph or not."""

from __future__ import annotations

from tests.serve.web.acts import ask
from tests.serve.web.conftest import HOSTILE
from tests.serve.web.small_service import SmallService

QUESTION = "Heat > directed by"


def open_review(page):
    page.get_by_role("button", name="Review", exact=True).click()
    page.wait_for_selector("#proposals:not([aria-busy]) > *")
    return page.locator(".proposals > li")


def test_an_accepted_proposal_is_in_the_next_answer(page, small: SmallService):
    before = ask(page, "Amélie > starred actors")
    assert before.locator(".chips button").all_inner_texts() == ["Audrey Tautou"]
    small.live.propose("Amélie", "starred actors", "Mathieu Kassovitz", who="cogmg", evidence=["the film's credits name him"])
    card = open_review(page)
    assert " ".join(card.locator("p.fact").inner_text().split()) == "Amélie starred actors Mathieu Kassovitz"
    assert "the film's credits name him" in card.inner_text() and "proposed by cogmg" in card.inner_text()
    card.get_by_role("button", name="Accept").click()
    card.locator("[role=status]", has_text="Accepted").wait_for()
    assert page.locator("#version").get_attribute("title") == small.graph.version
    page.get_by_role("button", name="Graph", exact=True).click()
    after = ask(page, "Amélie > starred actors")
    assert after.locator(".chips button").all_inner_texts() == ["Audrey Tautou", "Mathieu Kassovitz"]
    assert after.locator(".verdict.proved").count() == 1
    facts = small.record("Amélie > starred actors")["facts"]
    assert len(facts) == 2 and after.locator(".evidence ol li").count() == 2


def test_a_rejected_proposal_is_not(page, small: SmallService):
    proposal = small.live.propose("Alien", "directed by", "Stanley Kubrick", who="ann")
    card = open_review(page)
    card.get_by_label("Reason").fill("it was Ridley Scott")
    card.get_by_role("button", name="Reject").click()
    card.locator("[role=status]", has_text="Rejected").wait_for()
    decided = small.live.proposal(proposal.id)
    assert (decided.status, decided.reviewer, decided.reason) == ("rejected", "bea", "it was Ridley Scott")
    assert ask(page, "Alien > directed by").locator(".chips button").all_inner_texts() == ["Ridley Scott"]
    page.click("#reload")
    page.locator("#proposals", has_text="There are none.").wait_for()
    page.select_option("#proposals-status", "rejected")
    page.locator(".proposals", has_text="it was Ridley Scott").wait_for()


def test_a_contradiction_is_shown_and_replaced_only_on_purpose(page, small: SmallService):
    small.live.propose("Alien", "release year", "1980", who="ann")
    card = open_review(page)
    assert "It contradicts what the graph says" in card.inner_text() and "1979" in card.inner_text()
    card.get_by_role("button", name="Accept and replace").click()
    card.locator("[role=status]", has_text="Accepted").wait_for()
    assert small.record("Alien > release year")["text"] == "1980"


def test_a_decision_of_somebody_else_is_an_error_in_words(page, small: SmallService, problems: list[str]):
    proposal = small.live.propose("Alien", "release year", "1981", who="ann")
    small.live.functional = frozenset()  # so that the page does not know of the contradiction
    card = open_review(page)
    small.live.functional = frozenset([proposal.fact.relation])
    card.get_by_role("button", name="Accept").click()
    card.locator(".error").wait_for()
    assert "contradiction" in card.locator(".error").inner_text() and card.get_by_role("button", name="Accept").is_enabled()
    assert len(problems) == 1 and "409" in problems.pop()


def test_an_open_side_is_filled_by_the_reviewer(page, small: SmallService):
    small.live.propose("Alien", "has genre", "?", who="cogmg")
    card = open_review(page)
    card.get_by_role("button", name="Accept").click()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "What stands for the question mark"
    page.keyboard.type("drama")
    card.get_by_role("button", name="Accept").click()
    card.locator("[role=status]", has_text="Accepted").wait_for()
    assert "drama" in small.record("Alien > has genre")["text"]


def test_a_fact_can_be_proposed_and_hostile_text_stays_text(page, small: SmallService):
    page.get_by_role("button", name="Review", exact=True).click()
    page.click("#propose summary")
    for label, text in {"Head": "Alien", "Relation": "starred actors", "Tail": HOSTILE, "Evidence": f"it says {HOSTILE}"}.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Propose", exact=True).click()
    page.locator("#proposal-outcome", has_text="It waits for review").wait_for()
    card = page.locator(".proposals > li")
    assert HOSTILE in card.locator("p.fact").inner_text() and f"it says {HOSTILE}" in card.inner_text()
    assert page.locator("main img").count() == 0
    assert [proposal.fact.tail for proposal in small.live.proposals("pending")] == [HOSTILE]
