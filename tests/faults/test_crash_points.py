"""Cases 2 and 20: the process ends, or the disk fails, between every pair of writes of a search."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from functools import partial

import pytest
import simulated
from audit import check_search, ends

from biomarl_tune import faults
from biomarl_tune.errors import BiomarlError, StorageError
from biomarl_tune.faults import CRASH_AT, CRASH_CODE, FAIL_AT

pytestmark = [pytest.mark.faults, pytest.mark.timeout(580)]

TRIALS = 10
TEXTS = {
    seeds: simulated.space("swept", trials=TRIALS, iterations=4, sampler="random", seeds=seeds)
    for seeds in (1, 3)
}


def _forked(act):
    """Run in a copy of this process, which has everything imported; return its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        act()
        code = 0
    except BiomarlError as error:
        code = error.exit_code
    finally:
        os._exit(code)


def _search(results, seeds, **environment):
    def act():
        os.environ.update(environment)
        simulated.search(results, TEXTS[seeds])

    return _forked(act)


def _outlived(point, *, root, whole, fault, seeds):
    """Run with a fault at a point, resume, audit; return the exit code of the first run."""
    results = root / f"at-{point}-{seeds}"
    code = _search(results, seeds, **fault(point))
    assert _search(results, seeds) == 0, f"point {point}"
    check_search(results / "swept", trials=TRIALS)
    assert ends(results / "swept") == whole, f"point {point}"
    shutil.rmtree(results)
    return code


def _crash(point):
    return {CRASH_AT: str(point)}


def _fail(point, *, error):
    return {FAIL_AT: f"{point}:{error}"}


def _uninterrupted(root, seeds):
    """Return the end of the search that nothing happens to, and how many points it passes."""
    results = root / f"whole-{seeds}"

    def act():
        os.environ[CRASH_AT] = str(10**9)
        simulated.search(results, TEXTS[seeds])
        (root / "points").write_text(str(next(faults._points) - 1))

    assert _forked(act) == 0
    return ends(results / "swept"), int((root / "points").read_text())


@pytest.fixture(scope="module")
def whole(in_memory):
    """What `_uninterrupted` returns for one training seed a trial."""
    return _uninterrupted(in_memory, 1)


def _swept(points, in_memory, whole, fault, seeds=1):
    outlived = partial(_outlived, root=in_memory, whole=whole, fault=fault, seeds=seeds)
    pool = multiprocessing.get_context("fork").Pool(2)
    try:
        return set(pool.map(outlived, points, chunksize=1))
    finally:  # not terminated: what handles that signal here is inherited
        pool.close()
        pool.join()


def test_case_2_every_crash_point_is_recovered_from(in_memory, whole):
    """Killed before its first write, before its second, and so on: each ends like the whole one."""
    end, points = whole
    assert points >= 200
    assert _swept(range(1, points + 1), in_memory, end, _crash) == {CRASH_CODE}


def test_case_2_with_several_training_seeds_a_trial(in_memory):
    """Killed in any seed of any stage: the seeds go on alike, and the same settings are dropped."""
    end, points = _uninterrupted(in_memory, 3)
    assert {state for _, state, *_ in end} == {"COMPLETE", "PRUNED"}
    assert points >= 300
    assert _swept(range(1, points + 1, 5), in_memory, end, _crash, 3) == {CRASH_CODE}


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_case_20_every_failing_write_is_told_and_recovered_from(in_memory, whole, error):
    """From some write on the disk takes no more: exit 5, and after it is mended the search ends."""
    end, points = whole
    codes = _swept(range(1, points + 1, 6), in_memory, end, partial(_fail, error=error))
    assert codes == {StorageError.exit_code}
