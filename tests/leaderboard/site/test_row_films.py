"""Films of rows: both halves are the pictures of the two logs, at the same moves of play."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence
from support import sites

from understudy.cli import main
from understudy.leaderboard import stored_rows
from understudy.leaderboard.site import row_films, site_pages
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.histories import frame_store, history_format, move_images

PLACE = "darkroom-v1/quick/bc"
W = 1_300  # of darkroom-v1


@pytest.fixture(scope="module")
def films():
    rows = row_films.find(stored_rows.RESULTS, [PLACE])
    reports = []
    found = row_films.of_rows(stored_rows.RESULTS, rows, lambda *done: reports.append(done))
    assert reports == [(0, 2), (1, 2), (2, 2)]
    return found[PLACE]


def pictures(history, first, stop, cache):
    begin = move_images.first_frame(history, first)
    store = frame_store.open_store(history, begin, stop, processes=1, cache=cache)
    return list(move_images.pictures(history, store, first, stop, row_films.SCALE))


@pytest.mark.parametrize(
    ("task", "role", "offset"), [("improvement", "continue", W), ("transfer", "transfer", 0)]
)
def test_the_halves_are_the_pictures_of_both_logs_at_the_same_moves(films, task, role, offset, tmp_path):
    film = films[task]
    (row,) = row_films.find(stored_rows.RESULTS, [PLACE])
    own = history_format.read(row.runs / film.run / "history.parquet")
    (teacher,) = (
        run for run in benchmarks.teacher_runs(benchmarks.load("darkroom-v1")) if run.name == film.teacher
    )
    assert film.run.startswith(f"{role}/")
    assert (film.game, teacher.game) == (own.header.game, own.header.game)
    assert film.stop - film.first == row_films.MOVES
    assert film.stop <= own.num_moves
    assert film.teacher_first == film.first + offset
    teachers = pictures(
        benchmarks.read(teacher), film.teacher_first, film.teacher_first + row_films.MOVES, tmp_path
    )
    expected = zip(pictures(own, film.first, film.stop, tmp_path), teachers, strict=True)
    shown = [
        np.asarray(each.convert("RGB")) for each in ImageSequence.Iterator(Image.open(io.BytesIO(film.data)))
    ]
    assert len(shown) == row_films.MOVES
    for picture, (left, right) in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(picture[:, : left.shape[1]], left)
        np.testing.assert_array_equal(picture[:, -right.shape[1] :], right)
        assert picture.shape[1] == left.shape[1] + right.shape[1] + row_films.GAP_PIXELS


def test_a_film_is_inside_its_rows_page_and_on_no_other(films):
    data = sites.three()
    place = data["tables"][0]["rows"][0]["place"]
    pages = dict(site_pages.pages(data, {place: films}))
    with_film = [name for name, page in pages.items() if b"data:image/webp" in page]
    assert with_film == [f"rows/{place}.html"]
    page = pages[f"rows/{place}.html"].decode()
    assert page.count("<details") >= 2
    for film in films.values():
        assert film.url in page
        assert f"Film: moves {film.first:,} to {film.stop - 1:,}" in page


def test_a_row_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"^unknown row '.*/bcs'; did you mean '.*/bc'\?$"):
        row_films.find(stored_rows.RESULTS, [f"{PLACE}s"])


def test_a_row_without_runs_beside_a_teachers_ends_the_command_before_anything_is_written(
    results, tmp_path, capsys
):
    args = ["board", str(results), "--out", str(tmp_path / "site"), "--film", "darkroom-v1/quick/random"]
    assert main(args) == 2
    assert "random: no run of it is stored beside a teacher's over the same moves" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
