import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.kg.files import expand, line_blocks


@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\n")), st.integers(1, 20))
def test_blocks_are_the_file_in_whole_lines(data, size):
    data = data.removeprefix(b"\xef\xbb\xbf")
    blocks = list(line_blocks(io.BytesIO(data), size))
    assert b"".join(block.data for block in blocks) == data
    for block in blocks:
        assert data[block.offset :].startswith(block.data) and block.line == data[: block.offset].count(b"\n") + 1
    assert all(block.data.endswith(b"\n") for block in blocks[:-1])


def test_a_byte_order_mark_is_left_out_but_counted():
    (block,) = line_blocks(io.BytesIO(b"\xef\xbb\xbfa\n"))
    assert (block.data, block.line, block.offset) == (b"a\n", 1, 3)


def test_names_do_not_depend_on_where_the_folder_lies(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "in" / "a.tsv").write_text("a")
        (tmp_path / folder / "b[1].tsv.gz").write_text("b")
    found = [expand([str(tmp_path / folder / "in" / "*.tsv"), str(tmp_path / folder / "b[1].tsv.gz")]) for folder in ("x", "y")]
    assert [[file.name for file in files] for files in found] == [["in/a.tsv", "b[1].tsv.gz"]] * 2
    assert [file.suffix for file in found[0]] == [".tsv", ".tsv"] and [file.scope for file in found[0]] == ["", "file1."]
    assert found[0][0].fingerprint() == found[1][0].fingerprint() != found[0][1].fingerprint()


def test_a_remote_file_has_a_fingerprint_too():
    import fsspec

    with fsspec.open("memory://finger/a.tsv", "wb") as file:
        file.write(b"a")
    (first,) = expand(["memory://finger/a.tsv"])
    before = first.fingerprint()
    with fsspec.open("memory://finger/a.tsv", "wb") as file:
        file.write(b"bb")
    assert before != expand(["memory://finger/a.tsv"])[0].fingerprint()


def test_a_file_that_is_packed_wrongly_is_named(tmp_path):
    from raykg.kg.errors import KgError
    from raykg.kg.importing import import_graph

    (tmp_path / "a.tsv.gz").write_bytes(b"not gzip")
    with pytest.raises(KgError, match=r"a.tsv.gz: cannot be read"):
        import_graph(tmp_path / "s", [str(tmp_path / "a.tsv.gz")])
