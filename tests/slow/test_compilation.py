"""Compiled code is kept for the next process, in a folder that only the user may write to."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners are checked on POSIX")

PROGRAM = """
import jax
import numpy as np
import gramlab
seen = []
jax.monitoring.register_event_listener(lambda event, **more: seen.append(event.split("/")[-1]))
gramlab.Spectrum.of(gramlab.shard_features(np.random.default_rng(0).standard_normal((30, 4))))
config = jax.config
print(seen.count("cache_hits"), seen.count("cache_misses"), config.jax_compilation_cache_dir)
print(config.jax_persistent_cache_min_compile_time_secs)
"""


def begin(home, **environment):
    """A process that compiles something, its warnings errors, with that cache folder."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "GRAMLAB_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**known, "XDG_CACHE_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process):
    """Hits, misses, the folder in use and the least compile time that is kept."""
    out, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint) == (0, "")
    hits, misses, folder, least = out.split()
    return int(hits), int(misses), folder, float(least)


def test_the_next_process_compiles_nothing(tmp_path):
    hits, misses, folder, _ = told(begin(tmp_path))
    assert hits == 0 < misses
    assert Path(folder).parent == tmp_path / "gramlab"
    for part in (Path(folder).parent, Path(folder)):
        assert stat.S_IMODE(part.stat().st_mode) == 0o700
    assert told(begin(tmp_path))[:3] == (misses, 0, folder)


def test_processes_that_start_at_once(tmp_path):
    found = [told(process) for process in [begin(tmp_path) for _ in range(3)]]
    (asked,) = {hits + misses for hits, misses, _, _ in found}
    assert told(begin(tmp_path))[:2] == (asked, 0)


@pytest.mark.parametrize("killed", [True, False])
def test_an_entry_that_was_cut_short_costs_a_compilation_in_silence(tmp_path, killed):
    _, compiled, folder, _ = told(begin(tmp_path))
    entry = next(Path(folder).glob("*-cache"))
    os.truncate(entry, entry.stat().st_size // 2)
    if killed:  # while writing: the entry has no time of use, and is removed
        entry.with_name(entry.name.removesuffix("-cache") + "-atime").unlink()
    assert told(begin(tmp_path))[:2] == (compiled - 1, 1)
    assert told(begin(tmp_path))[0] == compiled - 1 + killed


def test_the_switch_keeps_nothing(tmp_path):
    assert told(begin(tmp_path, GRAMLAB_COMPILATION_CACHE="off")) == (0, 0, "None", 1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["no folder", "others may write", "a link", "another's"])
def test_a_folder_that_cannot_be_used_or_trusted_is_left_alone(tmp_path, kind):
    home, planted = tmp_path / "home", tmp_path / "home" / "gramlab"
    if kind == "no folder":
        home.write_text("a file")
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        home.mkdir()
        if kind == "a link":
            planted.symlink_to(tmp_path / "elsewhere")
        else:
            planted.mkdir(mode=0o700)
        if kind == "others may write":
            planted.chmod(0o777)
        if kind == "another's":
            if os.geteuid() != 0:
                pytest.skip("only root can give a folder away")
            os.chown(planted, 12345, -1)
    assert told(begin(home)) == (0, 0, "None", 1.0)
    assert kind == "no folder" or list(planted.iterdir()) == []


def test_a_folder_that_the_user_chose_is_left_as_it_is(tmp_path):
    own = tmp_path / "own"
    found = told(begin(tmp_path, JAX_COMPILATION_CACHE_DIR=str(own)))
    assert found[2:] == (str(own), 1.0)
    assert not (tmp_path / "gramlab").exists()
    assert told(begin(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")) == (0, 0, "None", 1.0)
