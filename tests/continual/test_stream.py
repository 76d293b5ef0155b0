from raykg.continual.stream import open_stream, write_stream
from tests.continual.small_streams import entity_stream, relation_stream, same


def test_a_stream_comes_back_as_it_was_written(tmp_path):
    for stream in (relation_stream(), entity_stream()):
        told = write_stream(stream, tmp_path / stream.kind)
        found = open_stream(tmp_path / stream.kind)
        assert same(found.posts, stream.posts) and (found.kind, found.none, found.types) == (stream.kind, stream.none, stream.types)
        for one, other in zip(found.tasks, stream.tasks, strict=True):
            assert all((one.rows(split) == other.rows(split)).all() for split in ("train", "validation", "test"))
        assert told["posts"] == stream.posts.num_rows and told["tasks"][1]["train"] == len(stream.tasks[1].train)
        assert write_stream(stream, tmp_path / "again")["sha256"] == told["sha256"]
