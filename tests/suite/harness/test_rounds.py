"""Rounds: a salt is drawn once, after the identities of its submissions were committed."""

import json
from dataclasses import replace

import pytest
from support import rows

from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness import rounds
from understudy.suite.harness.rounds import Committed, Round

ONE = Committed("1" * 64, "minatar-v1", "one", "greedy", "frozen", 8, "a" * 64)
TWO = Committed("2" * 64, "minatar-v1", "two", "sample", "frozen", 0, "b" * 64)
THREE = Committed("3" * 64, "minatar-v1", "three", "greedy", "frozen", 0, "c" * 64)


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
    assert rounds.commit([THREE], path) == Round("2", (THREE,))
    assert rounds.draw(path).salt != drawn.salt
    assert rounds.read(path)[0] == drawn
    assert rounds.of_controls(path) == drawn  # the first, whatever follows


def test_a_name_stands_for_one_submission_in_a_round(path):
    """At commit 01e8ea57 it could stand for any number, of which the one to be scored was chosen later."""
    rounds.commit([ONE], path)
    other = replace(TWO, name=ONE.name)
    with pytest.raises(
        InputError, match="found 111111111111 and 222222222222; give one of them another name"
    ):
        rounds.commit([other], path)
    with pytest.raises(InputError, match="found 333333333333 and 222222222222"):
        rounds.commit([THREE, replace(TWO, name=THREE.name)], path)
    assert rounds.read(path) == [Round("1", (ONE,))]
    rounds.commit([replace(other, benchmark="darkroom-v1")], path)


@pytest.mark.parametrize(
    "again",
    [
        ONE,
        replace(ONE, name="again"),
        replace(ONE, decoding="sample"),
        replace(ONE, priming_moves=9),
        replace(ONE, declaration="c" * 64),
    ],
    ids=["as it was", "another name", "another decoding", "other priming", "another training seed"],
)
def test_weights_of_a_drawn_round_join_no_later_one(path, again):
    """Each round gives them other seeds; at commit 517a081c they could wait for a round of kind ones.

    What is declared of them changes no seed either; at commit 32d4ebc7 another training seed was enough.
    """
    rounds.commit([ONE], path)
    rounds.commit([ONE], path)  # while it is open, once more is nothing new
    rounds.draw(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"111111111111 was committed to round 1, which is drawn") as refused:
        rounds.commit([THREE, again], path)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before
    rounds.commit([replace(ONE, benchmark="atari-v1")], path)


def test_no_packaged_submission_is_in_two_rounds():
    found = rounds.read()
    assert len(found) >= 4
    for number, each in enumerate(found):
        assert [rounds.why_no_later(one, found[:number]) for one in each.committed] == [None] * len(
            each.committed
        )


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"name": "another"}, "score it as it was committed"),
        ({"declaration": "c" * 64}, "score it as it was committed"),
        ({"benchmark": "atari-v1"}, "to the next round"),
    ],
)
def test_a_refused_player_is_told_what_is_still_open_to_it(path, changes, remedy):
    rounds.commit([ONE], path)
    rounds.draw(path)
    with pytest.raises(InputError, match=remedy):
        rounds.load("1", path).require(replace(ONE, **changes))


def test_only_what_was_committed_before_plays_in_a_round(path):
    rounds.commit([ONE], path)
    with pytest.raises(InputError, match="--round 1: it has no salt yet"):
        rounds.load("1", path).require(ONE)
    salt = rounds.draw(path).salt
    drawn = rounds.load("1", path)
    assert drawn.require(ONE) == salt
    assert drawn.require(None) == salt
    with pytest.raises(
        InputError,
        match="found 222222222222, which was not committed",
    ):
        drawn.require(TWO)
    assert rounds.load("dev", path).require(TWO) == "dev"
    with pytest.raises(InputError, match="--round: expected dev or one of 1; found '2'"):
        rounds.load("2", path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": "another"}, "name"),
        ({"benchmark": "atari-v1"}, "benchmark"),
        ({"decoding": "sample"}, "decoding"),
        ({"track": "learning"}, "track"),
        ({"priming_moves": 9}, "number of priming moves"),
        ({"declaration": "c" * 64}, "declared data or training seed"),
    ],
)
def test_the_same_weights_are_another_submission_when_played_otherwise(path, changes, word):
    """The salt is known after the draw, so nothing may be chosen then."""
    rounds.commit([ONE], path)
    rounds.draw(path)
    with pytest.raises(InputError, match=f"found 111111111111, committed with another {word}"):
        rounds.load("1", path).require(replace(ONE, **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found["rounds"][0].pop("salt"), "expected the key 'rounds.0.salt', found none"),
        (lambda found: found["rounds"][0].update(salt="seed"), "rounds.0.salt: String should match"),
        (lambda found: found["rounds"][0].update(round=2), "expected round 1"),
        (lambda found: found["rounds"][0].update(drawn=None), "with salt and date or neither"),
        (lambda found: found["rounds"][0].update(salt=None, drawn=None), "only the last may be open"),
        (lambda found: found["rounds"][0].update(note="x"), "unknown key 'rounds.0.note'"),
        (lambda found: found.update(format=2), "format: Input should be 1"),
        (lambda found: found["rounds"][0]["committed"][0].update(identity="1"), "committed.0.identity"),
        (lambda found: found["rounds"][0]["committed"][0].update(note="x"), "committed.0.note"),
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


def test_a_control_plays_under_the_first_round_and_an_entry_under_the_one_asked_for(tmp_path):
    played = {
        (name, asked): rows.requested(name, tmp_path, round=rounds.load(asked)).round.name
        for name in ("random", "bc")
        for asked in ("dev", "1")
    }
    assert played == {("random", "dev"): "1", ("random", "1"): "1", ("bc", "dev"): "dev", ("bc", "1"): "1"}


def test_the_packaged_rounds_are_drawn():
    """The stored rows are played under the first, whose entries come with the package."""
    from understudy.submissions import resolution

    first, *_ = rounds.read()
    assert first.salt is not None
    for each in first.committed:
        benchmark = benchmarks.load(each.benchmark)
        entry = resolution.resolve(each.name, benchmark, benchmarks.teacher_runs(benchmark))
        assert entry.committed == each
