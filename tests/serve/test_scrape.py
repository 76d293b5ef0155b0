import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raykg.serve.observed import Metrics
from raykg.serve.scrape import scraped


class Handle:
    """A handle whose deployment's processes give these answers to a broadcast."""

    def __init__(self, *answers):
        self.answers = answers

    def broadcast(self, method):
        assert method == "numbers"
        return self

    async def results_async(self, *, timeout_s, return_exceptions):
        assert return_exceptions and timeout_s <= 2
        if isinstance(self.answers[0], BaseException) and len(self.answers) == 1:
            raise self.answers[0]
        return list(self.answers)


def counted(status, times):
    metrics = Metrics()
    for _ in range(times):
        metrics.requests.labels("/v1/answers", status).inc()
        metrics.seconds.labels("/v1/answers").observe(0.02)
    return metrics


def numbers(text):
    """Return {(sample's name, *sorted labels): value}, read as Prometheus reads it."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def scrape(metrics, gateways, **models):
    return numbers(asyncio.run(scraped(metrics, gateways, models)))


def test_one_gateway_says_its_own_numbers_as_they_are():
    metrics = counted("200", 3)
    found = scrape(metrics, None)
    own = numbers(metrics.to_text())
    assert found[("raykg_requests_total", ("route", "/v1/answers"), ("status", "200"))] == 3
    assert own.keys() <= found.keys() and set(found) - set(own) == set()


def test_several_gateways_stand_side_by_side():
    gateways = Handle(*({"process": name, "text": counted("200", times).to_text().decode()} for name, times in (("a", 2), ("b", 5))))
    found = scrape(counted("200", 99), gateways)
    where = ("route", "/v1/answers"), ("status", "200")
    assert {name: found[("raykg_requests_total", ("gateway", name), *where)] for name in "ab"} == {"a": 2, "b": 5}
    assert found[("raykg_request_seconds_bucket", ("gateway", "b"), ("le", "0.025"), where[0])] == 5
    assert found[("raykg_scrape_silent", ("deployment", "gateway"))] == 0


def test_replicas_are_counted_and_those_that_do_not_answer_are_left_out():
    said = {"process": "r1", "counts": {"questions": 7, "resident_bytes": 1e9, "unheard_of": 1}}
    found = scrape(Metrics(), None, films=Handle(said, RuntimeError("died\nwhile it spoke")), books=Handle(TimeoutError()))
    assert found[("raykg_replica_questions_total", ("model", "films"), ("replica", "r1"))] == 7
    assert found[("raykg_replica_resident_bytes", ("model", "films"), ("replica", "r1"))] == 1e9
    assert [found[("raykg_scrape_silent", ("deployment", name))] for name in ("films", "books")] == [0, 1]
    assert not [key for key in found if "unheard" in key[0]]


@pytest.mark.parametrize("error", [TimeoutError(), RuntimeError("no replica")])
def test_where_no_gateway_answers_the_one_that_is_asked_still_does(error):
    found = scrape(counted("200", 4), Handle(error))
    assert found[("raykg_requests_total", ("route", "/v1/answers"), ("status", "200"))] == 4
    assert found[("raykg_scrape_silent", ("deployment", "gateway"))] == 1
