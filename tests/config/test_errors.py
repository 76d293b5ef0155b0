import pickle

from raykg.config.errors import ConfigErrors, Problem, RaykgError


def test_problems_stand_in_the_order_of_the_file_and_those_of_the_command_line_last():
    late, early, outside = Problem("a.yaml", 9, "late"), Problem("a.yaml", 2, "early"), Problem("command line", None, "outside")
    errors = ConfigErrors([outside, late, early, late])
    assert errors.problems == (early, late, outside)
    assert str(errors) == "a.yaml:2: early\na.yaml:9: late\ncommand line: outside"
    assert isinstance(errors, RaykgError)


def test_errors_survive_the_way_between_processes():
    errors = ConfigErrors([Problem("a.yaml", 2, "early")])
    assert pickle.loads(pickle.dumps(errors)).problems == errors.problems
