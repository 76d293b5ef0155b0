import numpy as np
import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg.iri_lines import iri_rows

WHOLE = "<http://e/a> <http://e/r> <http://e/b> ."


def read(lines: list[bytes]):
    ends = np.cumsum([len(line) for line in lines]).astype(np.int64)
    return iri_rows(b"".join(lines), np.concatenate([[0], ends[:-1]]).astype(np.int64), ends)


def parsed(line: bytes):
    found = list(pyoxigraph.parse(input=line, format=pyoxigraph.RdfFormat.N_TRIPLES))
    return [{"head": one.subject.value, "relation": one.predicate.value, "tail": one.object.value} for one in found]


@pytest.mark.parametrize(
    "line",
    [
        WHOLE,
        WHOLE + "\n",
        WHOLE + "\r\n",
        "<http://e> <urn:isbn:1> <http://e.org/a/b?c=d&e=(f)#g/h?i> .\n",
        "<a:b> <mailto:me@here> <http://www.wikidata.org/entity/Q42> .\n",
        "<http://e/> <http://e/?> <http://e/#> .\n",
        "<file:///a/b> <http://e/r> <http://e/b> .\n",
    ],
)
def test_plain_lines_are_what_a_parser_reads(line):
    plain, rows = read([line.encode()])
    if plain[0]:
        assert rows.to_pylist() == parsed(line.encode())
    assert plain[0] or line.startswith("<file"), "left to the parser, which costs time"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "# comment\n",
        "oops\n",
        WHOLE + " # more\n",
        WHOLE.replace("> <", ">  <") + "\n",
        "_:a <http://e/r> <http://e/b> .\n",
        '<http://e/a> <http://e/r> "b" .\n',
        '<http://e/a> <http://e/r> "<a:b> <a:c> <a:d> ." .\n',
        "<http://e/a b> <http://e/r> <http://e/b> .\n",
        "<http://e/\\u00e9> <http://e/r> <http://e/b> .\n",
        "<http://e/é> <http://e/r> <http://e/b> .\n",
        "<http://e/%zz> <http://e/r> <http://e/b> .\n",
        "<http://e:x/> <http://e/r> <http://e/b> .\n",
        "<http://[::1]/> <http://e/r> <http://e/b> .\n",
        "<relative> <http://e/r> <http://e/b> .\n",
        "<http://e/a#b#c> <http://e/r> <http://e/b> .\n",
        "<http://e/a> <http://e/r> <http://e/b> . <http://e/a> <http://e/r> <http://e/b> .\n",
    ],
)
def test_all_else_is_left_to_a_parser(line):
    plain, rows = read([line.encode()])
    assert plain.tolist() == [False]
    assert rows.num_rows == 0


def test_lines_among_others_keep_their_places():
    lines = [b"# c\n", WHOLE.encode() + b"\n", b"x\n", b"<a:b> <a:c> <a:d> .\n", b"<a:e> <a:f> <a:g> ."]
    plain, rows = read(lines)
    assert plain.tolist() == [False, True, False, True, True]
    assert rows["head"].to_pylist() == ["http://e/a", "a:b", "a:e"]
    gap = iri_rows(b"junk" + lines[1], np.array([4]), np.array([4 + len(lines[1])]))
    assert gap[1].to_pylist() == parsed(lines[1])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.text(alphabet="ab1:/.?#@%[]-_~!$&'()*+,;=<> é\\\"{}|^`\t", max_size=14), min_size=3, max_size=3),
    st.sampled_from(["", "http://", "x:"]),
)
def test_nothing_is_taken_that_a_parser_refuses_or_reads_otherwise(parts, begin):
    line = (" ".join(f"<{begin}{part}>" for part in parts) + " .\n").encode()
    plain, rows = read([line])
    if plain[0]:
        assert rows.to_pylist() == parsed(line)
