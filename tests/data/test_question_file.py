import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykg.data.errors import QuestionFileError
from raykg.data.question_file import BadQuestion, check_columns, read_questions, write_dead_letters

ROWS = [
    {"question": "who directed Alien?", "answers": ["Ridley Scott"], "topics": ["Alien"]},
    {"question": "who directed [Aliens]?", "answers": ["James Cameron"]},
    {"question": "films of Ridley Scott", "plan": "Ridley Scott < directed by"},
    {"question": "how many films did James Cameron direct", "plan": "count(James Cameron < directed by)"},
    {"question": "which genres has the Terminator", "answers": ["science fiction", "action"]},
]


def write(tmp_path, ending):
    file = tmp_path / f"mine{ending}"
    if ending == ".jsonl":
        file.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif ending == ".parquet":
        pq.write_table(pa.Table.from_pylist([{**dict.fromkeys(("question", "answers", "topics", "plan")), **row} for row in ROWS]), file)
    else:
        mark = "," if ending == ".csv" else "\t"
        lines = [mark.join(["question", "answers", "topics", "plan", "note"])]
        lines += [
            mark.join([row["question"], *("|".join(row.get(name, [])) for name in ("answers", "topics")), row.get("plan", ""), "x"])
            for row in ROWS
        ]
        file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_formats_give_the_same_rows(tmp_path, films, ending):
    good, bad = read_questions(write(tmp_path, ending), films)
    assert bad == []
    assert good["topics"].to_pylist() == [["Alien"], ["Aliens"], ["Ridley Scott"], ["James Cameron"], ["the Terminator"]]
    assert good["topic_ids"].to_pylist() == [[films.node(key)] for key in ("f1", "f2", "ridley_scott", "james_cameron", "f8")]
    assert good["fit"].to_pylist() == ["none", "none", "gold", "gold", "none"]
    assert good["answers"].to_pylist()[2:4] == [["Alien", "Blade Runner"], ["2"]]
    assert good["answer_ids"].to_pylist()[2:4] == [[films.node("f1"), films.node("f3")], []]
    assert good["template"].to_pylist()[2] == "?1 < directed by"
    assert good["chain"].to_pylist()[2] != 0
    assert good["wording"].to_pylist()[:2] == ["directed _"] * 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "", "answers": ["x"]}, "question: empty"),
        ({"answers": ["x"]}, "question: empty"),
        ({"question": "who?", "answers": []}, "answers: none, and no plan"),
        ({"question": "who?", "answers": {"a": 1}}, "answers: expected texts"),
        ({"question": "who?", "answers": ["x"], "topics": ["Alien"]}, "topics: 'Alien' does not stand in the question"),
        ({"question": "who?", "plan": 3}, "plan: expected a text"),
        ({"question": "who?", "plan": "Alien > directed"}, "did you mean 'directed by'"),
        ({"question": "who?", "plan": "Nobody At All > directed by"}, "no node that is called 'Nobody At All'"),
        ({"question": "who?", "plan": "Ridley Scott > directed by"}, "answers: none are given, and the plan gives none"),
    ],
)
def test_bad_rows_say_where_and_why(tmp_path, films, row, reason):
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(row) + "\n" + "{not json\n" + "[1]\n")
    good, bad = read_questions(file, films)
    assert good.num_rows == 1
    assert [found.line for found in bad] == [2, 3, 4]
    assert reason in bad[0].reason
    assert "not JSON" in bad[1].reason
    assert "not a JSON object" in bad[2].reason
    write_dead_letters(bad, tmp_path / "sub" / "bad.jsonl")
    assert [BadQuestion(**json.loads(line)) for line in (tmp_path / "sub" / "bad.jsonl").read_text().splitlines()] == bad


def test_too_many_fields_are_a_bad_row_and_line_numbers_count_line_breaks(tmp_path, films):
    file = tmp_path / "mine.csv"
    file.write_text('question,answers\n"who directed\nAlien",Ridley Scott\nwho,a,b,c\n')
    good, bad = read_questions(file, films)
    assert good.num_rows == 1
    assert [(found.line, found.reason) for found in bad] == [(4, "columns: 2 more than the header has")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"x", "cannot tell its format, expected one of .csv"),
        ("a.csv", b"who,what\n1,2\n", "has the columns who, what; expected question"),
        ("a.csv", b"question\nx\n", "expected question, and answers or plan"),
        ("a.csv", b"question,answers\n\xff,\n", "cannot be read"),
        ("a.parquet", b"PAR", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(QuestionFileError, match=message):
        check_columns(file)


def test_unknown_answers_stay_as_they_are(tmp_path, films):
    """The graph may lack an answer: the row can still be asked, only no plan can be recovered."""
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"question": "who directed Alien", "answers": ["Someone Else Entirely"]}))
    good, bad = read_questions(file, films)
    assert (bad, good["answer_ids"].to_pylist()) == ([], [[-1]])
