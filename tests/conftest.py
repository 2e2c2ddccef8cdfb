"""Settings and fixtures of the whole suite: a property's example may take its time, for machines are busy."""

import shutil
import signal
import uuid

import pytest
from hypothesis import settings

from understudy import baselines
from understudy.baselines import controls

settings.register_profile("understudy", deadline=None)
settings.load_profile("understudy")


@pytest.fixture
def hears_ctrl_c():
    """As at a terminal: what a shell runs in the background ignores it, and so would the tests there."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture(autouse=True)
def no_notes_of_replays(tmp_path_factory, monkeypatch):
    """Every test replays what it verifies, whatever was verified on this machine before it."""
    from understudy.suite.histories import replay_notes

    own = tmp_path_factory.getbasetemp() / f"replayed-{uuid.uuid4().hex}.txt"
    monkeypatch.setattr(replay_notes, "FILE", str(own))
    yield
    own.unlink(missing_ok=True)


@pytest.fixture
def darkroom():
    """One game of darkroom."""
    from understudy.suite import games

    return games.load("darkroom/goal-40")


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Rows of random and frozen-teacher: their start runs on darkroom. Read only; `copied` may be changed."""
    from support import rows

    from understudy.leaderboard import scores

    folder = tmp_path_factory.mktemp("results")
    names = "frozen-teacher", "random"
    rows.score([rows.requested(name, folder) for name in names], tasks=["skill"])
    scores.rescore(folder)
    return folder


@pytest.fixture
def copied(results, tmp_path):
    """A copy of these rows, to be changed."""
    shutil.copytree(results, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def assigned():
    """Return a function that makes a control's assignment of a game and the folder of each lane's teacher."""

    def assign(game, folders, watched_moves=3, moves=10, on_new_game=False, new=None):
        new = new or (None,) * len(folders)
        return controls.Assignment(game, watched_moves, moves, on_new_game, tuple(folders), tuple(new))

    return assign


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a data folder with random darkroom runs: two to watch (one is longer than W), one new."""
    from support import sound_submissions

    root = tmp_path_factory.mktemp("data")
    sound_submissions.write_runs(root)
    return root


@pytest.fixture
def here(data, tmp_path, monkeypatch):
    """Work in a folder of the test's own, on the data above, with a cache that lasts."""
    monkeypatch.setenv("UNDERSTUDY_DATA", str(data))
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(data.parent / "cache"))
    temporary = data.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_submission(data, here):
    """Return a function that writes a sound submission of an architecture into a folder and returns that."""
    from support import sound_submissions

    def write(architecture_name="bc"):
        return sound_submissions.write(here / "mine", baselines.load(architecture_name), data)

    return write


@pytest.fixture
def own_data(monkeypatch):
    """The teachers' runs that come with the package, whatever data the shell names."""
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A loopback Hub that this process's client uses, with an empty cache."""
    import huggingface_hub
    from huggingface_hub import constants
    from support.loopback_hub import LoopbackHub

    from understudy.suite.hub import failures

    monkeypatch.setattr(failures, "WAITS_SECONDS", (0.01, 0.01))
    for variable in ("HF_TOKEN", "HF_HUB_OFFLINE", "UNDERSTUDY_DATA"):
        monkeypatch.delenv(variable, raising=False)
    with LoopbackHub().serve() as hub:
        # The library read these from the environment at import; `command` sets the environment instead.
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        huggingface_hub.close_session()
        yield hub
    huggingface_hub.close_session()
