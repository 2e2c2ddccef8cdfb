"""The table of docs/imitators.md says what the stored entries and notes say."""

import json

from safetensors.numpy import load_file
from support import ROOT

from understudy import imitators_page
from understudy.leaderboard import experiments, pages
from understudy.suite.reserved_names import DECLARATION, ENTRIES

PAGE = ROOT / "docs" / "imitators.md"


def test_the_page_has_the_table_of_the_stored_entries():
    text = PAGE.read_text()
    assert pages.filled(text, imitators_page.page_tables(), PAGE.name) == text, (
        "run: python -m understudy.imitators_page docs/imitators.md"
    )


def test_a_line_has_the_sizes_of_the_weights_and_the_noted_costs():
    lines = [
        line.strip("| ").split(" | ")
        for line in imitators_page.page_tables()["darkroom-v1 trainings"].splitlines()
    ]
    table = {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}
    found = experiments.read()
    sampled = {each.weights_of: each.name for each in found.values() if each.weights_of}
    assert table
    for name, line in table.items():
        folder = ENTRIES / "darkroom-v1" / name
        declared = json.loads((folder / DECLARATION).read_text())
        weights = load_file(folder / declared["checkpoints"][0]["folder"] / "model.safetensors")
        assert line["parameters"] == f"{sum(each.size for each in weights.values()):,}"
        notes = ROOT / "leaderboard" / "searches" / "darkroom-v1"
        own = json.loads((notes / f"{name}.json").read_text()).get("processor_seconds", {})
        other = notes / f"{sampled.get(f'darkroom-v1/{name}')}.json"
        more = json.loads(other.read_text())["processor_seconds"] if other.exists() else {}
        for what in ("search", "training", "playing"):
            seconds = [costs[what] for costs in (own, more) if what in costs]
            assert line[what] == (f"{sum(seconds) / 60:.1f}" if seconds else "-")
