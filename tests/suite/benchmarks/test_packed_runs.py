"""Runs packed in one archive: read as those in folders wherever a run is opened; unsound ones are refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file, save_file
from support import anyones_runs, embedded_runs, rows
from support.sound_submissions import BENCHMARK, content, record

from understudy import cli
from understudy.suite import benchmarks, games
from understudy.suite.benchmarks import pinned_runs, pinning, pins
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, publishing, run_archive
from understudy.suite.hub import manifest
from understudy.suite.io import files
from understudy.suite.teachers import network, recomputed

DARKROOM = benchmarks.load(BENCHMARK)
ARCHIVE = Path(BENCHMARK, "histories.zip")
ONE = "goal-00/seed-5/history.parquet"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A data folder of runs that nothing pins. Read only."""
    folder = tmp_path_factory.mktemp("own")
    anyones_runs.write(folder)
    return folder


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """The embedded runs of two games, in folders and packed by hand: (folders, packed). Read only."""
    folder = tmp_path_factory.mktemp("embedded")
    embedded_runs.unpack(folder / "folders", "goal-00", "goal-02")
    anyones_runs.pack_by_hand(folder / "folders", folder / "packed")
    return folder / "folders", folder / "packed"


def command(*parts: object) -> int:
    return cli.main(["histories", *map(str, parts)])


def pack(folder: Path, out: Path) -> int:
    return command("pack", folder, "--benchmark", BENCHMARK, "--out", out)


# Packing


def test_packed_runs_are_the_bytes_that_were_packed(own, tmp_path, capsys):
    before = content(own)
    assert pack(own, tmp_path / "out") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / ARCHIVE}: 3 runs\n"
    expected = anyones_runs.pack_by_hand(own, tmp_path / "by-hand")
    assert (tmp_path / "out" / ARCHIVE).read_bytes() == expected.read_bytes()
    assert content(own) == before
    assert content(tmp_path / "out").keys() == {str(ARCHIVE)}
    with zipfile.ZipFile(expected) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_packing_again_after_a_kill_or_with_more_runs_is_packing_once(own, tmp_path):
    few, out = tmp_path / "few", tmp_path / "out"
    shutil.copytree(own / BENCHMARK / "goal-03", few / BENCHMARK / "goal-03")
    assert pack(few, out) == 0
    left = out / BENCHMARK / ".histories.zip.0123456789abcdef.part"
    left.write_bytes(b"half")
    assert pack(own, out) == pack(own, out) == 0
    assert not left.exists()
    expected = anyones_runs.pack_by_hand(own, tmp_path / "by-hand")
    assert (out / ARCHIVE).read_bytes() == expected.read_bytes()


def test_what_cannot_be_packed_is_one_line_and_writes_nothing(own, tmp_path, capsys):
    def refused(folder: Path, out: Path, line: str) -> None:
        before = content(tmp_path)
        assert pack(folder, out) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert line in error, error
        assert content(tmp_path) == before

    data = tmp_path / "data"
    shutil.copytree(own, data)
    refused(data, data, "a run is in one place only; give another folder for --out")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "out", "no run of darkroom-v1 here to pack")
    shutil.copytree(data / BENCHMARK / "goal-03", tmp_path / "other" / BENCHMARK / "goal-03")
    refused(data, tmp_path / "other", "a run is in one place only")
    assert pack(data, tmp_path / "all") == 0
    capsys.readouterr()
    refused(tmp_path / "other", tmp_path / "all", f"holds {ONE}, which is not among the runs to be packed")
    same = data / BENCHMARK / "goal-00" / "seed-7"
    anyones_runs.copy_as(data / BENCHMARK / "goal-00" / "seed-5", same)
    refused(data, tmp_path / "out", f"{same}: its moves are those of {same.with_name('seed-5')}")
    damaged = bytearray((same / "history.parquet").read_bytes())
    damaged[20] ^= 1
    (same / "history.parquet").write_bytes(damaged)
    refused(data, tmp_path / "out", "file SHA-256 is")


def test_the_archive_that_comes_with_the_package_is_what_packing_its_runs_gives(tmp_path):
    embedded_runs.unpack(tmp_path / "data")
    assert len(list(tmp_path.glob("data/*/*/seed-*/history.parquet"))) == 81 * 4
    assert pack(tmp_path / "data", tmp_path / "out") == 0
    assert (tmp_path / "out" / ARCHIVE).read_bytes() == embedded_runs.ARCHIVE.read_bytes()


# Reading


def test_runs_are_found_and_read_alike(own, tmp_path, monkeypatch):
    packed = anyones_runs.pack_by_hand(own, tmp_path)
    one, other = (benchmarks.teacher_runs(DARKROOM, [folder]) for folder in (own, tmp_path))
    assert [run.name for run in one] == [run.name for run in other] == list(anyones_runs.OWN)
    for run, twin in zip(one, other, strict=True):
        assert benchmarks.read(run).content_sha256 == benchmarks.read(twin).content_sha256
        assert str(twin.history_path) == f"{packed}/{run.name}/history.parquet"
        assert (run.network_path, twin.network_path) == (None, None)
    with pytest.raises(InputError, match=r"darkroom-v1 goal-00/seed-5 is in .* and in .*; keep one"):
        benchmarks.teacher_runs(DARKROOM, [own, tmp_path])
    both = tmp_path / BENCHMARK / "goal-00" / "seed-5"
    shutil.copytree(own / BENCHMARK / "goal-00" / "seed-5", both)
    with pytest.raises(InputError, match="keep one"):
        benchmarks.teacher_runs(DARKROOM, [tmp_path])


def test_a_run_that_was_replaced_in_its_archive_is_read_anew(own, tmp_path):
    anyones_runs.pack_by_hand(own, tmp_path / "a")
    run = benchmarks.teacher_runs(DARKROOM, [tmp_path / "a"])[0]
    assert benchmarks.read(run).num_moves == anyones_runs.OWN[run.name]
    shutil.copytree(own, tmp_path / "longer")
    path = tmp_path / "longer" / BENCHMARK / run.name / "history.parquet"
    shutil.rmtree(path.parent)
    record(path, run.game, 650)
    anyones_runs.renumber(path, run.seed)
    longer = anyones_runs.pack_by_hand(tmp_path / "longer", tmp_path / "b")
    os.replace(longer, tmp_path / "a" / ARCHIVE)
    assert benchmarks.read(run).num_moves == 650


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("../goal-00/seed-5/history.parquet", b"PAR1", "not a file of a data folder's runs"),
        ("goal-00/seed-05/history.parquet", b"PAR1", "not a file of a data folder's runs"),
        ("goal-00/seed-5/notes.txt", b"x", "not a file of a data folder's runs"),
        ("goal-99/seed-5/history.parquet", b"PAR1", "unknown game of darkroom-v1"),
    ],
)
def test_what_no_archive_of_runs_holds_is_refused(tmp_path, name, data, line):
    (tmp_path / BENCHMARK).mkdir()
    with zipfile.ZipFile(tmp_path / ARCHIVE, "w") as archive:
        archive.writestr(name, data)
    with pytest.raises(InputError, match=line) as refused:
        benchmarks.teacher_runs(DARKROOM, [tmp_path])
    assert str(tmp_path / ARCHIVE) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_deflated_linked_and_altered_members_are_refused(own, tmp_path):
    (tmp_path / BENCHMARK).mkdir()
    path = tmp_path / ARCHIVE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ONE, b"0" * 10_000)
    with pytest.raises(InputError, match=f"'{ONE}': deflated, expected stored"):
        benchmarks.teacher_runs(DARKROOM, [tmp_path])
    link = zipfile.ZipInfo(ONE)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    with pytest.raises(InputError, match="a link or a folder, expected a file"):
        benchmarks.teacher_runs(DARKROOM, [tmp_path])
    data = bytearray(anyones_runs.pack_by_hand(own, tmp_path / "good").read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{ONE}: damaged"):
        benchmarks.read(benchmarks.teacher_runs(DARKROOM, [tmp_path])[0])


# Everything that opens a run


def test_commands_name_packed_runs(own, tmp_path, capsys):
    archive = anyones_runs.pack_by_hand(own, tmp_path)
    assert command("info", tmp_path) == command("info", archive) == 0
    shown = capsys.readouterr().out
    assert shown.count("game      darkroom/goal-0") == 6
    assert shown.count(str(archive / ONE)) == 2
    assert command("verify", tmp_path, "--processes", "1") == 0
    assert f"{archive / ONE}: replayed, 601 moves" in capsys.readouterr().out
    assert command("list", tmp_path) == 0
    line = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("darkroom-v1/goal-03")
    )
    assert line.split()[:4] == ["darkroom-v1/goal-03/seed-5", "darkroom/goal-03", "5", "603"]
    film = tmp_path / "film.gif"
    assert command("watch", archive, "--out", film) == 2
    assert f"expected one run, found 3; name one, e.g. {archive / ONE}" in capsys.readouterr().err
    for named in (archive / ONE, archive / "goal-00" / "seed-5"):
        assert command("watch", named, "--out", film, "--moves", "3", "--scale", "1") == 0
        assert film.stat().st_size
        film.unlink()
    assert command("info", archive / "goal-00" / "seed-9") == 2
    assert "no such run in" in capsys.readouterr().err


def test_an_archive_is_published_as_it_is(own, tmp_path):
    archive = anyones_runs.pack_by_hand(own, tmp_path)
    published = publishing.prepare(tmp_path, "user/repo")
    assert [run.name for run in published.runs] == [f"{BENCHMARK}/{name}" for name in anyones_runs.OWN]
    assert [run.size_bytes for run in published.runs] == [
        (own / BENCHMARK / name / "history.parquet").stat().st_size for name in anyones_runs.OWN
    ]
    assert published.contents.keys() == {str(ARCHIVE), "README.md", "SHA256SUMS", "croissant.json"}
    assert published.contents[str(ARCHIVE)] == archive
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    description = bytes(published.contents["croissant.json"])
    sums = {str(ARCHIVE): digest, "croissant.json": hashlib.sha256(description).hexdigest()}
    listed = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    assert published.contents["SHA256SUMS"] == listed.encode()
    card = bytes(published.contents["README.md"]).decode()
    assert "configs" not in yaml.safe_load(card.split("---\n")[1])
    assert f"3 of the runs are packed in {ARCHIVE}, as they are." in card
    assert published.left_out == ()
    (tmp_path / "SHA256SUMS").write_bytes(bytes(published.contents["SHA256SUMS"]))
    (tmp_path / "croissant.json").write_bytes(description)
    assert manifest.check(tmp_path) == sums
    assert [history_format.read(run.history_in(tmp_path)).num_moves for run in published.runs] == [
        *anyones_runs.OWN.values()
    ]
    shutil.copytree(own / BENCHMARK / "goal-03", tmp_path / BENCHMARK / "goal-03")
    with pytest.raises(InputError, match=r"goal-03/seed-5 is in a folder and in histories\.zip; keep one"):
        publishing.survey(tmp_path)


def test_networks_and_checkpoints_are_read_from_an_archive(embedded, tmp_path):
    folders, packed = (benchmarks.teacher_runs(DARKROOM, [folder]) for folder in embedded)
    game = benchmarks.read(folders[0]).header.game
    for run, twin in zip(folders, packed, strict=True):
        assert (run.network_path is None) == (twin.network_path is None)
        if run.network_path and twin.network_path:
            assert files.sha256(run.network_path) == files.sha256(twin.network_path)
    assert folders[0].network_path is not None
    assert packed[0].network_path is not None
    own = network.load_parameters(folders[0].network_path, games.load(game))
    again = network.load_parameters(packed[0].network_path, games.load(game))
    assert all(bool((own[name] == again[name]).all()) for name in own)
    (one,) = recomputed.tensors_of([folders[0].folder], [60])
    (other,) = recomputed.tensors_of([packed[0].folder], [60])
    assert all(bool((one[60][name] == other[60][name]).all()) for name in one[60])


def test_a_network_of_another_run_is_refused_in_an_archive_too(embedded, tmp_path):
    shutil.copytree(embedded[0], tmp_path / "mixed")
    network_at_w = tmp_path / "mixed" / BENCHMARK / "goal-00" / "seed-0" / "network_at_w.safetensors"
    of_another = {"understudy": '{"game":"darkroom/goal-01","life_seed":"12345678","moves":1300}'}
    save_file(load_file(network_at_w), network_at_w, of_another)
    anyones_runs.pack_by_hand(tmp_path / "mixed", tmp_path / "packed")
    run = benchmarks.teacher_runs(DARKROOM, [tmp_path / "packed"])[0]
    with pytest.raises(InputError, match=r"these weights are of another run: .* found darkroom/goal-01"):
        benchmarks.read(run)


def test_packed_runs_are_the_pinned_ones(embedded, tmp_path):
    _, packed = embedded
    for run in benchmarks.teacher_runs(DARKROOM, [packed]):
        assert pinned_runs.verified_moves(pins.of(DARKROOM), run) == benchmarks.read(run).num_moves
        pinned_runs.require(pins.of(DARKROOM), DARKROOM, run)
    written = []
    for folder in embedded:
        shutil.copytree(folder, tmp_path / folder.name)
        path, _ = pinning.pin(DARKROOM, tmp_path / folder.name)
        written.append(path.read_text())
    assert written[0] == written[1]


def test_a_control_plays_the_same_with_packed_teachers(embedded, tmp_path, monkeypatch):
    played = []
    for folder in embedded:
        data = tmp_path / folder.name
        shutil.copytree(folder, data)
        pinning.pin(DARKROOM, data)
        monkeypatch.setenv("UNDERSTUDY_DATA", str(data))
        out = tmp_path / f"out-{folder.name}"
        for name in ("frozen-teacher", "sandbagger"):
            rows.score(rows.requested(name, out, lanes=2), ["skill"])
        runs = sorted((out / BENCHMARK / "quick").rglob("history.parquet"))
        assert runs
        played.append([history_format.read(path).content_sha256 for path in runs])
    assert played[0] == played[1]


def test_what_a_path_names(tmp_path):
    place = run_archive.named(tmp_path / "histories.zip" / ONE)
    assert place == run_archive.PackedPath(tmp_path / "histories.zip", place.inner)
    assert str(place.inner) == ONE
    assert str(place) == str(tmp_path / "histories.zip" / ONE)
    assert (place.name, str(place.parent.inner)) == ("history.parquet", "goal-00/seed-5")
    assert run_archive.named(tmp_path / ONE) is None
    assert not place.exists()
    with pytest.raises(FileNotFoundError):
        place.read_bytes()
