import numpy as np
import pytest

from raykg.data.votes import Ballot, count_conventions, count_votes, elect, from_table, merge, settle, to_table

# Codes: twice the sequence of steps, + 1 with `~`. Sequences 10 (director) and 20 (writer) are rivals.
DIRECTOR, WRITER = 10, 20


def votes(rows, masked, fits, wording=None):
    """Elect and settle in one block; fits: [(row, sequence, away)]."""
    masked = np.array(masked)
    wording = np.array(masked if wording is None else wording)
    row = np.array([fit[0] for fit in fits], dtype=np.int64)
    code = np.array([2 * fit[1] + fit[2] for fit in fits], dtype=np.int64)
    ballot = count_votes(rows, masked, wording, row, code)
    election = elect(ballot, rows, masked, wording, row, code)
    return election, settle(count_conventions(election, row, code), election, row, code)


def test_rows_worded_alike_decide_between_paths_that_fit():
    """Row 2 fits both; its wording's other rows say writer."""
    fits = [(0, WRITER, 0), (1, WRITER, 0), (2, DIRECTOR, 0), (2, WRITER, 0), (3, DIRECTOR, 0)]
    election, code = votes(4, [1, 1, 1, 9], fits)
    assert election.sequence.tolist() == [WRITER, WRITER, WRITER, DIRECTOR]
    assert election.several.tolist() == [False, False, True, False]
    assert code.tolist() == [2 * WRITER] * 3 + [2 * DIRECTOR]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_decides_nothing(seed):
    draw = np.random.default_rng(seed)
    rows, masked = 40, draw.integers(0, 6, 40)
    fits = [(row, int(sequence), int(away)) for row in range(rows) for sequence in draw.choice(8, 3, replace=False) for away in (0, 1)]
    fits = [fit for fit in fits if draw.random() < 0.6]
    _, code = votes(rows, masked, fits)
    order = draw.permutation(rows)
    place = np.argsort(order)
    shuffled = [(int(place[row]), sequence, away) for row, sequence, away in fits]
    draw.shuffle(shuffled)
    _, other = votes(rows, masked[order], shuffled)
    assert (other[place] == code).all()


def test_a_tie_goes_to_the_shorter_path():
    election, _ = votes(1, [1], [(0, 700, 0), (0, 3, 0)])
    assert election.sequence.tolist() == [3]


def test_a_rare_wording_follows_its_function_word_free_neighbours():
    fits = [(0, WRITER, 0), (0, DIRECTOR, 0)] + [(row, WRITER, 0) for row in range(1, 5)] + [(row, DIRECTOR, 0) for row in range(5, 30)]
    masked, wording = list(range(30)), [7] * 5 + [8] * 25
    election, _ = votes(30, masked, fits, wording)
    assert election.sequence[0] == WRITER


def test_the_convention_is_voted_on_by_those_who_elected_the_steps():
    """Steps 10 fit rows 0-2 only with `~`; rows 3 and 4 in both ways; row 5 only without."""
    fits = [(row, DIRECTOR, 1) for row in range(5)] + [(row, DIRECTOR, 0) for row in (3, 4, 5)]
    _, code = votes(6, [1] * 6, fits)
    assert code.tolist() == [2 * DIRECTOR + 1] * 5 + [2 * DIRECTOR]


def test_without_need_there_is_no_tilde():
    _, code = votes(2, [1, 1], [(row, DIRECTOR, away) for row in (0, 1) for away in (0, 1)])
    assert code.tolist() == [2 * DIRECTOR] * 2


def test_rows_that_nothing_fits_get_nothing():
    election, code = votes(2, [1, 1], [(1, DIRECTOR, 0)])
    assert code.tolist() == [-1, 2 * DIRECTOR]
    assert election.several.tolist() == [False, False]


def test_ballots_of_blocks_add_up():
    draw = np.random.default_rng(0)
    masked, row = draw.integers(0, 5, 30), np.repeat(np.arange(30), 2)
    code = draw.integers(0, 12, 60)
    whole = count_votes(30, masked, masked, row, code)
    first, second = row < 10, row >= 10
    parts = [
        count_votes(10, masked[:10], masked[:10], row[first], code[first]),
        count_votes(20, masked[10:], masked[10:], row[second] - 10, code[second]),
    ]
    merged = merge(parts)
    assert merged.groups.tolist() == merge([whole]).groups.tolist()
    assert merged.votes.tolist() == merge([whole]).votes.tolist()
    again = from_table(to_table(whole))
    assert again.votes.tolist() == merged.votes.tolist()


def test_an_empty_ballot_survives_its_table():
    empty = from_table(to_table(Ballot(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 4), dtype=np.int64))))
    assert empty.groups.shape == (0, 3)
    assert empty.votes.shape == (0, 4)
