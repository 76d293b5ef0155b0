from tests.cli.run_raykg import raykg


def test_without_a_kind_the_kinds_are_listed():
    out = raykg("list").stdout
    assert "retrieval" in out and "khop" in out


def test_a_kind_lists_its_methods_with_their_papers():
    out = raykg("list", "retrieval").stdout
    assert "personalised_pagerank" in out and "Paper:" in out and "arXiv" in out


def test_an_unknown_kind_is_refused():
    done = raykg("list", "retreival")
    assert done.returncode == 2 and done.stderr.startswith("raykg: retreival: no such kind of method, did you mean 'retrieval'?")


def test_nothing_is_imported_to_list():
    code = "import atexit, sys; atexit.register(lambda: print([n for n in ('torch', 'ray', 'numpy', 'raykg.kg') if n in sys.modules]))"
    assert raykg("list", "retrieval", code=code).stdout.endswith("[]\n")
