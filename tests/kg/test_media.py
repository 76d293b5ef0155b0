import pytest

from raykg.kg.errors import KgError
from raykg.kg.media import image_path


def test_packaged_and_plain_images_are_found(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    assert image_path("package:raykg.kg.builtin/flags/fr.png").name == "fr.png"
    assert image_path("a.png", tmp_path) == tmp_path / "a.png"
    assert image_path(str(tmp_path / "a.png")) == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("package:raykg.kg.builtin/flags/zz.png", "no file"),
        ("package:no_such_package/x.png", "is not installed here"),
        ("package:/x.png", "is not installed here"),
        ("package:raykg.kg.builtin/../wheel.py", "leaves"),
        ("../a.png", "leaves"),
        ("/etc/passwd", "leaves"),
    ],
)
def test_an_image_that_is_not_there_or_not_inside_is_refused(tmp_path, name, message):
    with pytest.raises(KgError, match=message):
        image_path(name, tmp_path)
