from tests.kg.imports import run, texts


def test_turtle_goes_on_after_a_syntax_error_and_gives_its_place(tmp_path):
    content = "@prefix : <http://e/> .\n:é :b [ :c 1, 'x' ; :d true ] .\n:a :b oops .\n:e a :Film ; :b :c, 2.5 .\n"
    graph, summary, letters = run(tmp_path, "a.ttl", content, max_bad_rows=1)
    assert ("http://e/e", "http://e/b", "2.5", "decimal") in texts(graph) and ("_:anonymous0", "http://e/c", "1", "integer") in texts(graph)
    assert graph.entities["type"][graph.node("http://e/e")].as_py() == "http://e/Film"
    assert (
        letters[0]["line"] == 3 and letters[0]["byte_offset"] == content.encode().index(b"oops") and letters[0]["excerpt"] == ":a :b oops ."
    )
    assert summary.version == run(tmp_path, "a.ttl", content, max_bad_rows=1)[0].version  # anonymous nodes get the same names each time
