import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg.logical_form.lexer import Kind, ParseError, fault, quote, tokens


@pytest.mark.parametrize(
    "name",
    ["Alien", "Alien (1979)", "$", "-1", "AC/DC", "12 O'Clock", "a~b", "max x", "a\\b", "count", "R&B", "M*A*S*H", "(500".replace("(", "")],
)
def test_bare_names(name):
    assert fault(name) is None


@pytest.mark.parametrize(
    ("name", "position"),
    [("", 0), ("~a", 0), ("(Untitled)", 0), ("count(x)", 0), (" a", 0), ("a ", 1), ("a\nb", 1), ("a - b", 2), ("a >= b", 2), ("-", 0),
     ("a -", 2), ("& sons", 0), ('12"', 2), ("[Rec]", 0), ("a]", 1), ("a)", 1), ("a (b", 2), ("a)(", 1), ("a\u2028b", 1)],
)  # fmt: skip
def test_names_that_need_quotes(name, position):
    assert fault(name)[0] == position


def test_tokens_carry_their_positions():
    text = '~(A (x) < "r s" | B) [y >= 3]'
    found = [(token.kind, token.value, text[token.start : token.end]) for token in tokens(text)]
    assert found == [
        (Kind.AWAY, "~", "~"),
        (Kind.OPEN, "(", "("),
        (Kind.NAME, "A (x)", "A (x)"),
        (Kind.IN, "<", " < "),
        (Kind.NAME, "r s", '"r s"'),
        (Kind.SETS, "|", " | "),
        (Kind.NAME, "B", "B"),
        (Kind.CLOSE, ")", ")"),
        (Kind.BRACKET, "[", " ["),
        (Kind.NAME, "y", "y"),
        (Kind.COMPARE, ">=", " >= "),
        (Kind.NAME, "3", "3"),
        (Kind.UNBRACKET, "]", "]"),
        (Kind.END, "", ""),
    ]


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_quoting_any_text_is_read_back(name):
    token = next(tokens(quote(name)))
    assert (token.kind, token.value, token.quoted) == (Kind.NAME, name, True)
    assert "\n" not in quote(name)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet='ab ()[]<>&|-~=!"\\\n.1', max_size=20))
def test_bare_iff_the_lexer_reads_it_as_one_name(name):
    try:
        found = list(tokens(name))
    except ParseError as error:
        assert 0 <= error.position <= len(name)
        found = []
    alone = len(found) == 2 and found[0].kind is Kind.NAME and not found[0].quoted
    assert alone == (fault(name) is None)


def test_the_error_survives_pickling():
    error = pytest.raises(ParseError, lambda: list(tokens("a  > b"))).value
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.position, again.text) == (str(error), 1, "a  > b")
