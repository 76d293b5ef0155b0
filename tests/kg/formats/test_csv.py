from tests.kg.imports import run, texts


def test_csv_with_stray_quotation_marks_names_exactly_the_bad_lines(tmp_path):
    content = 'head,relation,tail\na,r,b\nx,r,5" disc\n"q""q",r,"c,d"\nx,r,"open\nlast,r,z\n'
    graph, summary, letters = run(tmp_path, "a.csv", content, max_bad_rows=9)
    assert texts(graph) == {("a", "r", "b", None), ('q"q', "r", "c,d", None), ("last", "r", "z", None)}
    assert [letter["line"] for letter in letters] == [3, 5] and summary.bad == {"columns": 2}
