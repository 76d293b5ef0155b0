import json

from tests.cli.run_raykg import raykg


def test_a_key_from_its_making_to_its_end(tmp_path):
    made = raykg("keys", "create", "alice", "--scopes", "read,ask", "--per-minute", "9", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    assert text.startswith("rk_") and len(text.splitlines()) == 1 and "ask, read" in made.stderr and text not in made.stderr
    listed = raykg("keys", "list", cwd=tmp_path).stdout
    assert "alice" in listed and "active" in listed and "ask,read" in listed and text not in listed
    rotated = raykg("keys", "rotate", "alice", "--grace", "0", cwd=tmp_path)
    assert rotated.returncode == 0 and rotated.stdout.startswith("rk_") and rotated.stdout.strip() != text
    revoked = raykg("keys", "revoke", "alice", cwd=tmp_path)
    assert revoked.returncode == 0 and revoked.stdout.startswith("revoked alice (")
    listed = raykg("keys", "list", cwd=tmp_path).stdout
    assert "expired" in listed and "revoked" in listed and "active" not in listed
    log = [json.loads(line) for line in (tmp_path / "keys.audit.jsonl").read_text().splitlines()]
    assert [line["what"] for line in log] == ["key created", "key rotated", "key revoked"] and all(line["by"] for line in log)
    assert text not in (tmp_path / "keys.audit.jsonl").read_text()


def test_mistakes_are_one_line_and_code_2(tmp_path):
    for arguments, words in [
        (("create", "alice", "--scopes", "root"), "must be some of ask, read, propose, review, admin"),
        (("revoke", "nobody"), "no such key works (keys: none)"),
        (("rotate", "nobody"), "no such key works"),
    ]:
        done = raykg("keys", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1
    (tmp_path / "keys.json").write_text("{")
    assert "is damaged" in raykg("keys", "list", cwd=tmp_path).stderr


def test_help_has_the_examples(tmp_path):
    assert "raykg keys create alice --scopes ask,read" in raykg("keys", "--help", cwd=tmp_path).stdout
