"""Rounds: a salt is drawn once, after the identities of its submissions were committed."""

import json

import pytest

from understudy.suite.errors import InputError
from understudy.suite.harness import rounds
from understudy.suite.harness.rounds import Committed, Round

ONE = Committed("1" * 64, "minatar-v1", "one")
TWO = Committed("2" * 64, "minatar-v1", "two")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rounds.json"


def test_a_round_is_committed_drawn_and_then_closed(path):
    assert rounds.read(path) == []
    assert rounds.of_controls(path).name == "dev"
    assert rounds.commit([ONE], path) == Round("1", (ONE,))
    assert rounds.commit([ONE, TWO], path).committed == (ONE, TWO)
    assert rounds.of_controls(path).name == "dev"  # its salt is not known yet
    drawn = rounds.draw(path)
    assert drawn.committed == (ONE, TWO)
    assert len(bytes.fromhex(str(drawn.salt))) == 16
    assert rounds.read(path) == [drawn]
    with pytest.raises(InputError, match="no round is open"):
        rounds.draw(path)
    assert rounds.commit([TWO], path) == Round("2", (TWO,))
    assert rounds.draw(path).salt != drawn.salt
    assert rounds.read(path)[0] == drawn
    assert rounds.of_controls(path) == drawn  # the first, whatever follows


def test_only_what_was_committed_before_plays_in_a_round(path):
    rounds.commit([ONE], path)
    with pytest.raises(InputError, match="--round 1: it has no salt yet"):
        rounds.load("1", path).require(ONE.identity, "one", control=False)
    salt = rounds.draw(path).salt
    drawn = rounds.load("1", path)
    assert drawn.require(ONE.identity, "one", control=False) == salt
    assert drawn.require("3" * 64, "random", control=True) == salt
    with pytest.raises(InputError, match="two: identity 222222222222 was not committed to round 1 before"):
        drawn.require(TWO.identity, "two", control=False)
    assert rounds.load("dev", path).require(TWO.identity, "two", control=False) == "dev"
    with pytest.raises(InputError, match="--round: expected dev or one of 1; found '2'"):
        rounds.load("2", path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found["rounds"][0].pop("salt"), "rounds.0.salt: Field required"),
        (lambda found: found["rounds"][0].update(salt="seed"), "rounds.0.salt: String should match"),
        (lambda found: found["rounds"][0].update(round=2), "expected round 1"),
        (lambda found: found["rounds"][0].update(drawn=None), "with salt and date or neither"),
        (lambda found: found["rounds"][0].update(salt=None, drawn=None), "only the last may be open"),
        (lambda found: found["rounds"][0].update(note="x"), "rounds.0.note: Extra inputs"),
        (lambda found: found.update(format=2), "format: Input should be 1"),
    ],
)
def test_an_altered_file_is_refused_in_one_line(path, change, message):
    rounds.commit([ONE], path)
    rounds.draw(path)
    rounds.commit([TWO], path)
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match=message) as refused:
        rounds.read(path)
    assert "\n" not in str(refused.value)


def test_the_packaged_rounds_are_drawn():
    """The stored rows are played under the first, whose entries come with the package."""
    from understudy.submissions import resolution

    first, *_ = rounds.read()
    assert first.salt is not None
    named = {(each.benchmark, each.name): each.identity for each in first.committed}
    for (benchmark, name), identity in named.items():
        found = resolution.find(name, benchmark)
        assert found is not None
        assert found.identity == identity
