"""The service against what one would write in an afternoon: FastAPI around `model.generate`, one question at a time.

    python benchmarks/serve_load.py runs/quickstart --questions 300 --clients 16

Both serve the same fine-tuned model on this machine, in one run of this script, one after the other. Clients ask in a closed loop: each
sends its next question when it has its answer. The plain server greedily generates the plan with transformers and executes it with the same
executor, so both give the same answers; how many are equal is printed. The last line is the ratio of their answers a second.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path


def main() -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--replicas", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--plain", type=int, default=0, help="serve plainly at this port, and nothing else")
    given = parser.parse_args()
    if given.plain:
        serve_plainly(given.run, given.plain)
        return
    questions = read_questions(given.run, given.questions)
    print(f"{len(questions)} questions, {given.clients} clients, {os.cpu_count()} cores, {given.replicas} replicas of one thread\n")
    print(f"{'server':28}{'answers/s':>10}{'p50 s':>9}{'p99 s':>9}{'failed':>8}")
    port = free_port()
    ours = measure("raykg serve", served(given, port), f"http://127.0.0.1:{port}", questions, given.clients)
    port = free_port()
    plain = [sys.executable, __file__, str(given.run), "--plain", str(port)]
    theirs = measure("FastAPI + generate", plain, f"http://127.0.0.1:{port}", questions, given.clients)
    equal = sum(one == other for one, other in zip(ours[1], theirs[1], strict=True))
    print(f"\nequal answers: {equal} of {len(questions)}\nratio: {ours[0] / theirs[0]:.2f}")


def read_questions(run: Path, count: int) -> list[str]:
    """Return the first questions of the run's test sets."""
    from raykg.data.question_set import QuestionSet

    texts = [
        text
        for folder in sorted((run / "questions").glob("test-*"))
        for text in QuestionSet.open(folder).to_table()["question"].to_pylist()
    ]
    return texts[:count]


def served(given: argparse.Namespace, port: int) -> list[str]:
    """Return the command of our service; config and logs are in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="serve-load-"))
    config = folder / "service.yaml"
    config.write_text(f"models: {{m: {json.dumps(str(given.run.absolute()))}}}\nstorage: {json.dumps(str(folder))}\n")
    size = f"replicas={{count: {given.replicas}, batch: {given.batch}}}"
    code = "import sys; from raykg.cli.main import main; main(sys.argv[1:])"
    return [sys.executable, "-c", code, "serve", str(config), f"http.port={port}", size]


def measure(name: str, command: list[str], url: str, questions: list[str], clients: int) -> tuple[float, list[str | None]]:
    """Start a server, ask it everything, stop it; print its row and return answers a second and the texts."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(url, process)
        texts: list[str | None] = [None] * len(questions)
        seconds: list[float] = []
        places = iter(range(len(questions)))
        lock = threading.Lock()

        def client() -> None:
            while True:
                with lock:
                    place = next(places, None)
                if place is None:
                    return
                started = time.perf_counter()
                texts[place] = ask(url, questions[place])
                seconds.append(time.perf_counter() - started)

        for question in questions[:4]:
            ask(url, question)  # warm
        threads = [threading.Thread(target=client) for _ in range(clients)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = len(questions) / (time.perf_counter() - started)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    print(f"{name:28}{rate:10.2f}{p50:9.2f}{p99:9.2f}{sum(text is None for text in texts):8}", flush=True)
    return rate, texts


def ask(url: str, question: str) -> str | None:
    """Return the text of an answer; None where there is none."""
    request = urllib.request.Request(f"{url}/v1/answers", json.dumps({"question": question}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            return str(json.load(response)["text"])
    except urllib.error.HTTPError:
        return None


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server is ready."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            if process.poll() is not None:
                raise SystemExit(f"the server ended: {' '.join(process.args)}") from None  # type: ignore[arg-type]
            time.sleep(0.5)
    raise SystemExit("the server is not ready after five minutes")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve_plainly(run: Path, port: int) -> None:
    """Serve as most examples do: a route that calls `generate`; FastAPI's thread pool, one lock, all cores for one question."""
    import torch
    import uvicorn
    from fastapi import FastAPI

    from raykg.answer.opening import choose_strategy, open_model, open_saved
    from raykg.answer.question import Question
    from raykg.answer.record import record_of
    from raykg.data.prompts import STOP, plan_prompt

    torch.set_num_threads(os.cpu_count() or 1)
    opened = open_model(run)
    strategy = opened.strategy(choose_strategy("plan_execute", open_saved(run)))
    app, lock = FastAPI(), threading.Lock()

    @app.get("/readyz")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/v1/answers")
    def answer(body: dict[str, str]) -> dict[str, str]:
        question = Question(body["question"])
        inputs = opened.tokenizer(plan_prompt(question.text), return_tensors="pt", add_special_tokens=False)
        with lock, torch.inference_mode():
            written = opened.model.generate(**inputs, max_new_tokens=64, do_sample=False, stop_strings=[STOP], tokenizer=opened.tokenizer)
            text = opened.tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).partition(STOP)[0]
            return {"text": record_of(question, strategy.run(text, question), opened.graph)["text"]}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main()
