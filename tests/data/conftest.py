"""What holds for every test of data."""

import pytest


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """No data folder, and one cache for all tests."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("RDU_BENCH_DATA", raising=False)


@pytest.fixture
def no_system(tmp_path, monkeypatch):
    """A machine where no package has installed a data set; its one prefix."""
    monkeypatch.setattr("rdu_bench.data.files.PREFIXES", ())
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    return tmp_path / "prefix"
