"""The table of `make speed`, from a made-up report whose ratios were worked out by hand."""

import json
from types import SimpleNamespace

import pytest
from speed import ratios


def measured(group, label, seconds, turn=None, timer="perf_counter", figure=None, **described):
    """Return a benchmark as pytest-benchmark's JSON has it, of what the table reads."""
    benchmark = SimpleNamespace(extra_info={})
    ratios.describe(benchmark, group, label, **described)
    if figure:
        ratios.add_figure(benchmark, *figure)
    return {
        "group": benchmark.group,
        "params": None if turn is None else {"turn": turn},
        "options": {"timer": timer},
        "extra_info": benchmark.extra_info,
        "stats": {"median": seconds},
    }


def moves(label, seconds, turn, amount=100, is_peer=False):
    return measured("play", label, seconds, turn, amount=amount, unit="moves", is_peer=is_peer)


def test_a_ratio_is_the_median_of_the_ratios_of_each_turn():
    report = [
        moves("ours", 1.0, 0),  # 100 moves/s
        moves("peer", 0.5, 0, amount=10, is_peer=True),  # 20 moves/s: 5
        moves("ours", 2.0, 1),  # 50
        moves("peer", 1.0, 1, amount=10, is_peer=True),  # 10: 5
        moves("ours", 0.5, 2),  # 200
        moves("peer", 0.125, 2, amount=10, is_peer=True),  # 80: 2.5
    ]
    assert ratios.ratio_rows(report) == [["play", "moves/s", "ours", "100", "peer", "20", "5", "2.5", "5"]]


def test_turns_meet_their_own_peer_and_not_the_median_one():
    report = [
        *[moves("ours", seconds, turn) for turn, seconds in enumerate((1.0, 2.0, 4.0))],  # 100, 50, 25
        *[moves("peer", seconds, turn, is_peer=True) for turn, seconds in enumerate((4.0, 2.0, 1.0))],
    ]  # 25, 50, 100: ratios 4, 1, 0.25
    assert ratios.ratio_rows(report) == [["play", "moves/s", "ours", "50", "peer", "50", "1", "0.25", "4"]]


def test_each_of_ours_meets_each_peer():
    report = [
        moves("one", 1.0, 0),
        moves("two", 2.0, 0),
        moves("slow", 3.0, 0, is_peer=True),
        moves("slower", 250.0, 0, is_peer=True),
    ]
    pairs = [(row[2], row[4], row[6]) for row in ratios.ratio_rows(report)]
    assert pairs == [
        ("one", "slow", "3"),
        ("one", "slower", "250"),
        ("two", "slow", "1.5"),
        ("two", "slower", "125"),
    ]


def test_what_has_no_peer_has_no_ratio():
    report = [measured("write", "file", 0.5, amount=1_000_000, unit="moves", timer="process_time")]
    assert ratios.ratio_rows(report) == [
        ["write", "moves/CPU-s", "file", "2,000,000", "-", "-", "-", "-", "-"]
    ]


def test_units_that_differ_are_refused():
    report = [
        measured("read", "ours", 1.0, unit="frames"),
        measured("read", "peer", 1.0, unit="moves", is_peer=True),
    ]
    with pytest.raises(ValueError, match=r"read: expected one unit; ours has frames/s, peer has moves/s"):
        ratios.ratio_rows(report)


def test_figures_have_rows_of_their_own():
    report = [
        measured("replay", "one seed", 9.0, figure=("peak memory", 6.948, "GiB", 8)),
        *[
            measured("read", "store", 1.0, turn, unit="frames", figure=("size", size, "bytes"))
            for turn, size in enumerate((40.0, 1234.0, 50.0))
        ],
    ]
    assert ratios.figure_rows(report) == [
        ["replay", "one seed", "peak memory", "6.95", "GiB", "8"],
        ["read", "store", "size", "50", "bytes", "-"],
    ]
    assert [row[0] for row in ratios.ratio_rows(report)] == ["read"]


def test_the_table_is_markdown_in_two_parts(tmp_path, capsys):
    path = tmp_path / "speed.json"
    report = {"benchmarks": [measured("a", "b", 0.5, unit="calls", figure=("size", 3, "bytes"))]}
    path.write_text(json.dumps(report))
    ratios.main([str(path)])
    assert capsys.readouterr().out == (
        "| measured | unit    | ours | median | peer | median | ratio | lowest | highest |\n"
        "| -------- | ------- | ---- | ------ | ---- | ------ | ----- | ------ | ------- |\n"
        "| a        | calls/s | b    | 2      | -    | -      | -     | -      | -       |\n"
        "\n"
        "| measured | of | figure | value | unit  | limit |\n"
        "| -------- | -- | ------ | ----- | ----- | ----- |\n"
        "| a        | b  | size   | 3     | bytes | -     |\n"
    )
