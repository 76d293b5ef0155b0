import pytest
import torch

from raykg.answer.decoding import Decoder
from raykg.answer.generation import Generator
from raykg.answer.prefixes import Prefixes
from raykg.models.reference import load_model, load_tokenizer, resolve
from raykg.serve.completions import Writing, WritingSettings


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = resolve("tiny:llama", cache=tmp_path_factory.mktemp("tiny"))
    return load_model(folder, "float32"), load_tokenizer(folder)


def write(tiny, prompt, **settings):
    """Return texts, finishes and all pieces of one writing."""
    model, tokenizer = tiny
    all_pieces, written = run(model, tokenizer, Generator(model, tokenizer).ends, prompt, settings)
    texts, finishes = {}, {}
    for piece in all_pieces:
        assert piece.row not in finishes, "a piece after the last one"
        texts[piece.row] = texts.get(piece.row, "") + piece.text
        if piece.finish:
            finishes[piece.row] = piece.finish
    assert set(finishes) == set(texts) == set(range(settings.get("n", 1))) and written == len(all_pieces)
    return texts, finishes, all_pieces


def run(model, tokenizer, ends, prompt, settings):
    tokens = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    told = []
    writing = Writing(tokenizer, ends, tokens, WritingSettings(**settings), told.extend)
    decoder = Decoder(model.eval(), capacity=8, prefixes=Prefixes(1 << 20))
    decoder.add(writing.lines)
    while decoder.busy:
        decoder.step()
    return told, writing.written


@pytest.mark.parametrize("prompt", ["Q: who?\nA:", "a", "the film the film the film", "é ü 字"])
def test_greedy_is_what_the_generator_writes(tiny, prompt):
    texts, finishes, _ = write(tiny, prompt, max_tokens=12)
    assert texts[0] == Generator(*tiny).generate([prompt], 12)[0]
    assert finishes == {0: "length"}


def test_greedy_copies_are_the_same(tiny):
    texts, finishes, _ = write(tiny, "abc", max_tokens=5, n=3)
    assert texts[0] == texts[1] == texts[2] and finishes == dict.fromkeys(range(3), "length")


def test_a_sampled_text_does_not_depend_on_how_many_there_are(tiny):
    one, four = (write(tiny, "abc" * 9, max_tokens=10, n=n, temperature=1.0, seed=5)[0] for n in (1, 4))
    assert one[0] == four[0]


def test_sampling_is_the_seeds(tiny):
    one = write(tiny, "abc", max_tokens=10, n=4, temperature=1.0, seed=5)[0]
    same = write(tiny, "abc", max_tokens=10, n=4, temperature=1.0, seed=5)[0]
    other = write(tiny, "abc", max_tokens=10, n=4, temperature=1.0, seed=6)[0]
    assert one == same != other and len(set(one.values())) == 4
    assert write(tiny, "abc", max_tokens=10, temperature=1.0)[0] != write(tiny, "abc", max_tokens=10, temperature=1.0)[0]
    assert write(tiny, "abc", max_tokens=5, temperature=1.0, seed=-1)[1] == {0: "length"}


def test_almost_no_temperature_and_almost_no_top_p_are_greedy(tiny):
    greedy = write(tiny, "abc", max_tokens=8)[0][0]
    assert write(tiny, "abc", max_tokens=8, temperature=1e-6, seed=1)[0][0] == greedy
    assert write(tiny, "abc", max_tokens=8, temperature=1.0, top_p=1e-6, seed=1)[0][0] == greedy


def test_stops_end_the_text_wherever_tokens_fall(tiny):
    whole = write(tiny, "abc", max_tokens=20, temperature=1.3, seed=3)[0][0]
    for start in range(0, 12, 3):
        for length in (1, 2, 5):
            stop = whole[start : start + length]
            texts, finishes, pieces = write(tiny, "abc", max_tokens=20, temperature=1.3, seed=3, stop=("never there", stop))
            assert texts[0] == whole[: whole.find(stop)] and finishes[0] == "stop"
            assert "".join(piece.text for piece in pieces) == texts[0]  # nothing was sent that had to be taken back


def test_an_end_token_ends_the_text(tiny):
    model, tokenizer = tiny
    tokens = tokenizer("abc", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        first = int(model(torch.tensor([tokens])).logits[0, -1].argmax())
    ((piece,), _) = run(model, tokenizer, frozenset({first}), "abc", {"max_tokens": 9})
    assert (piece.text, piece.finish) == ("", "stop")


def test_half_characters_wait_for_their_other_half(tiny):
    for seed in range(8):
        _, _, pieces = write(tiny, "字", max_tokens=30, temperature=2.0, seed=seed)
        assert all(not piece.text.endswith("\ufffd") for piece in pieces if piece.finish is None)


def test_probabilities_are_those_of_the_model(tiny):
    model, tokenizer = tiny
    texts, _, pieces = write(tiny, "abc", max_tokens=6, logprobs=2)
    told = [one for piece in pieces for one in piece.tokens]
    tokens = tokenizer("abc", add_special_tokens=False)["input_ids"]
    for text, probability, best in told:
        with torch.inference_mode():
            expected = torch.log_softmax(model(torch.tensor([tokens])).logits[0, -1].float(), -1)
        tokens.append(int(expected.argmax()))
        assert text == tokenizer.decode(tokens[-1:]) and probability == pytest.approx(float(expected.max()), abs=1e-4)
        assert best[text] == probability and len(best) <= 2
    assert "".join(text for text, _, _ in told) == texts[0]
