import sys

from raykg.config.load import from_dict, to_dict
from raykg.eval.contest import prompt_words
from raykg.eval.evaluation_config import Contender, EvaluationConfig


def test_the_defaults_are_the_quickstarts_five_rows():
    cfg = EvaluationConfig()
    assert [contender.label for contender in cfg.contenders] == [
        "base, closed_book",
        "base, read, topics linked",
        "fine-tuned, closed_book",
        "fine-tuned, plan_execute, topics linked",
        "fine-tuned, read, topics linked",
    ]
    assert from_dict(EvaluationConfig, to_dict(cfg)) == cfg


def test_a_config_is_read_without_torch():
    import subprocess

    code = "import sys, raykg.eval.evaluation_config as e; e.EvaluationConfig(); print({'torch', 'ray', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_every_contender_can_tell_its_prompt():
    for contender in EvaluationConfig().contenders:
        words = prompt_words(contender)
        assert "{question}" in words
        assert ("{facts}" in words) == (contender.strategy.name == "read")
        assert ("Argentina" in words) == (contender.model == "base")


def test_labels_say_what_differs():
    assert Contender(topics="given").label == "fine-tuned, plan_execute, topics given"
