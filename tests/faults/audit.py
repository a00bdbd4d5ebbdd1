"""What must hold after every fault: the doctor's word, and the rules of the search on top."""

from __future__ import annotations

from biomarl_tune.search import rungs
from biomarl_tune.search.examination import examine
from biomarl_tune.search.study import Study


def check_search(path, *, trials):
    """Check a simulated search that has ended; raises AssertionError with what is wrong."""
    found = examine(path)
    assert found.findings == ()
    assert found.state == "finished"
    assert found.requested == trials
    assert found.repeated == 0
    assert sum((found.trials or {}).values()) == trials
    assert not {"RUNNING", "WAITING"} & set(found.trials or {})
    with Study.open(path, read_only=True) as study:
        if not study.stages:  # with several training seeds the rule is another: compare `ends`
            _check_rungs(study)


def _check_rungs(study):
    """Replay the reports in the order of their recording: each decision was that of the rule."""
    spec = study.spec
    mode = spec.objective[0].mode
    curves = {}
    last = {trial.number: trial for trial in study.trials()}
    for report in study.reports():
        value = report.value(spec.objective[0].metric)
        curves.setdefault(report.number, {})[report.iteration] = value
        decision = rungs.decide(curves, report.number, report.iteration, spec.stopping, mode)
        trial = last[report.number]
        stopped_here = trial.iteration == report.iteration and trial.state == "PRUNED"
        assert (decision.action == "stop") == stopped_here, f"{trial}: {decision}"
    replayed = rungs.rungs(curves, spec.stopping)
    assert replayed == rungs.rungs(study.curves, spec.stopping)


def ends(path):
    """Return all that a search has come to, without what depends on the clock or the place."""
    with Study.open(path, read_only=True) as study:
        return [
            (trial.number, trial.state, trial.settings, trial.iteration, trial.stopped_because)
            for trial in study.trials()
        ]
