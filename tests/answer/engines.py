"""Engines on this machine that speak OpenAI's /v1/completions over real HTTP: one with a model, one that says what a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "films"
NO_XGRAMMAR = "xgrammar, which reads grammars in vLLM, is missing: pip install 'raykg[xgrammar]'"


@dataclass
class Engine:
    """What a server is made of.

    Attributes:
        url: the base URL for clients.
        asked: bodies of completions, in the order of their coming.
        headers: of the same requests.
        said: what is answered, one after the other, to requests of any kind: (status, headers, body), or a number of seconds to be silent
            for; after these the model answers.
        left: requests whose client had gone before the answer.
    """

    model: object = None
    tokenizer: object = None
    url: str = ""
    asked: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    said: list = field(default_factory=list)
    card: dict = field(default_factory=lambda: {"id": NAME, "object": "model", "max_model_len": 512})
    finishes: list = field(default_factory=list)  # of the model's texts
    left: int = 0
    most_at_once: int = 0
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _compiled: dict = field(default_factory=dict)

    def complete(self, body):
        """Answer as vLLM does: greedy, under a grammar where there is one, up to a stop."""
        import torch

        if self.model is None:
            return {"choices": [{"text": ""}]}
        prompt = body["prompt"]
        tokens = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if isinstance(prompt, str) else list(prompt)
        matcher = self._matcher(body["structured_outputs"]["grammar"]) if "structured_outputs" in body else None
        written, logprobs, finish = [], [], "length"
        while len(written) < body["max_tokens"] and finish == "length":
            with torch.inference_mode():
                logits = self.model(input_ids=torch.tensor([tokens + written])).logits[0, -1]
            raw = logits.log_softmax(-1)
            token = int((logits if matcher is None else self._masked(logits, matcher)).argmax())
            written.append(token)
            logprobs.append(float(raw[token]))
            if matcher is not None:
                assert matcher.accept_token(token)
            if token == self.tokenizer.eos_token_id or any(stop in self._text(written) for stop in body.get("stop", [])):
                finish = "stop"
        self.finishes.append(finish)
        text = self._text(written[:-1] if written[-1] == self.tokenizer.eos_token_id else written)
        for stop in body.get("stop", []):
            text = text.partition(stop)[0]
        told = {"tokens": [self._text([token]) for token in written], "token_logprobs": logprobs, "top_logprobs": None, "text_offset": []}
        choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": told if body.get("logprobs") else None}
        usage = {"prompt_tokens": len(tokens), "completion_tokens": len(written)}
        return {"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}

    def _text(self, tokens):
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _matcher(self, text):
        import xgrammar

        size = self.model.config.vocab_size
        info = xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, vocab_size=size, stop_token_ids=[self.tokenizer.eos_token_id])
        if text not in self._compiled:
            self._compiled[text] = xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(text)
        return xgrammar.GrammarMatcher(self._compiled[text])

    def _masked(self, logits, matcher):
        import xgrammar

        allowed = xgrammar.allocate_token_bitmask(1, len(logits))
        matcher.fill_next_token_bitmask(allowed)
        masked = logits.clone()[None]
        xgrammar.apply_token_bitmask_inplace(masked, allowed)
        return masked[0]

    @contextmanager
    def at_work(self):
        with self._lock:
            self._busy += 1
            self.most_at_once = max(self.most_at_once, self._busy)
        yield
        with self._lock:
            self._busy -= 1


@contextmanager
def engine(model=None, tokenizer=None, said=()):
    """Run an engine until the block ends."""
    found = Engine(model, tokenizer, said=list(said))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._answer(lambda: {"object": "list", "data": [found.card]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.asked.append(body)
            found.headers.append(dict(self.headers))
            with found.at_work():
                self._answer(lambda: found.complete(body))

        def _answer(self, otherwise):
            scripted = found.said.pop(0) if found.said and self.path.endswith("/completions") else None
            if isinstance(scripted, float):
                time.sleep(scripted)
                scripted = None
            status, headers, content = scripted or (200, {}, otherwise())
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            try:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                found.left += 1

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
