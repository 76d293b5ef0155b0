"""Transfer is tested by what is kept and fetched: tests/kg/test_mirror.py."""

from raykg.kg.transfer import decoded, encoded


def test_a_uri_is_a_file_name_and_back():
    uri = "s3://bücket_1?endpoint_override=127.0.0.1:9000&scheme=http"
    assert decoded(encoded(uri)) == uri and not {"/", ":", "%"} & {*encoded(uri)}
