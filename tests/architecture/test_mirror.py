"""The tests mirror the package: raykg/kg/graph.py is tested in tests/kg/test_graph.py."""

from __future__ import annotations

import ast
from fnmatch import fnmatch

from tests.architecture.source import PACKAGE, ROOT, sources

# A file, or a pattern of files (kg/formats/*.py), whose tests stand elsewhere or that has nothing to test -> where, or why.
ELSEWHERE: dict[str, str] = {
    "kg/live/claims.py": "tests/kg/live/test_log.py lets owners race",
    "kg/live/delta.py": "tests/kg/live/test_changes.py makes deltas",
    "kg/live/edit.py": "tests/kg/live/test_graph.py edits",
    "kg/live/follower.py": "tests/kg/live/test_graph.py compares followers with their owner",
    "kg/live/functional.py": "tests/kg/live/test_graph.py contradicts functional relations",
    "kg/live/overlay_adjacency.py": "tests/kg/live/test_overlay.py compares it with graphs built from scratch",
    "kg/live/proposals.py": "tests/kg/live/test_graph.py proposes and reviews",
    "kg/live/requests.py": "tests/kg/live/test_graph.py asks for what is there and what is not",
    "kg/live/state.py": "tests/kg/live/test_graph.py replays logs",
    "serve/following.py": "tests/serve/test_graph_owner.py follows an owner on a real Ray",
    "serve/kg_schema.py": "tests/serve/test_kg_routes.py sends bodies",
    "serve/kg_views.py": "tests/serve/test_kg_routes.py reads them",
}


def test_every_file_has_its_tests():
    missing = []
    for source in sources():
        path = ROOT / "tests" / source.path
        functions = any(isinstance(node, ast.FunctionDef) for node in ast.walk(source.tree))
        declares_only = not functions or path.name == "errors.py"  # errors are tested where they are raised
        if path.name == "__init__.py" or declares_only or any(fnmatch(source.path, pattern) for pattern in ELSEWHERE):
            continue
        if not path.with_name(f"test_{path.name.lstrip('_')}").exists():
            missing.append(f"raykg/{source.path}: no tests/{path.with_name(f'test_{path.name}').relative_to(ROOT / 'tests')}")
    assert not missing, "\n" + "\n".join(missing)


def test_the_exceptions_exist_and_say_where_or_why():
    for path, reason in ELSEWHERE.items():
        assert list(PACKAGE.glob(path)), f"{path} is gone: remove it from ELSEWHERE"
        assert len(reason) > 10
        for place in (word for word in reason.split() if word.startswith("tests/")):
            assert (ROOT / place.rstrip(",.;")).exists(), f"{path}: {place} is gone"


def test_every_folder_of_tests_is_a_package():
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]
