"""What `raykg jobs` prints of a job; tests/cluster asks a real cluster."""

from types import SimpleNamespace

from raykg.cli.jobs import _took, _why


def job(status="FAILED", message="", start=1_000, end=None):
    return SimpleNamespace(status=SimpleNamespace(value=status), message=message, start_time=start, end_time=end)


def test_a_failure_says_its_reason_without_the_log_that_was_printed():
    message = "Job entrypoint command failed with exit code 1, last available logs (truncated to 20,000 chars):\nTraceback"
    assert _why(job(message=message)) == ": Job entrypoint command failed with exit code 1"
    assert _why(job(message="")) == "" and _why(job("STOPPED", "was stopped")) == ""


def test_durations():
    assert _took(job(start=1_000, end=43_000)) == "42 s" and _took(job(start=1_000, end=181_000)) == "3.0 min"
    assert _took(job(start=None)) == ""
