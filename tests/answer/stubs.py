"""A generator that writes what a test says, so that strategies are tested without a model."""

from raykg.answer.generation import TooLong

ALLOWED = 5000  # characters of a prompt


class Writer:
    """Answers prompts from a table; unknown prompts get the empty text. Remembers what it was asked."""

    def __init__(self, texts, beams=None):
        self.texts, self.more, self.asked, self.asked_beams = texts, beams or {}, [], []

    def _text(self, prompt):
        return next((text for question, text in self.texts.items() if question in prompt), "")

    def generate(self, prompts, max_new_tokens=32, stop=None, grammars=None):
        self.asked += prompts
        return [self._text(prompt) if len(prompt) <= ALLOWED else TooLong(len(prompt), ALLOWED) for prompt in prompts]

    def generate_beams(self, prompts, max_new_tokens, stop, beams, grammars=None):
        self.asked_beams += prompts
        return [next((texts for question, texts in self.more.items() if question in prompt), [])[:beams] for prompt in prompts]
