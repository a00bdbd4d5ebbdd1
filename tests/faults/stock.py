"""The same storm over what a stock search is made of: Tune, OptunaSearch, ASHA, Tuner.restore.

    python tests/faults/stock.py FOLDER TRIALS SEED

begins a search or restores it, as Ray's documentation says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

ITERATIONS = 9
SECONDS = 0.3  # an iteration


def stock_storm(folder, trials, kills, seed):
    """Kill a stock search at random moments, restore it until it ends, and count what was lost."""
    rng = np.random.default_rng(seed)
    command = [sys.executable, __file__, str(folder), str(trials), str(seed)]
    sent, finished = 0, set()
    code = None
    with (folder / "stock.log").open("w") as log:
        while code is None:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            if sent < kills:
                more = int(rng.integers(trials // 4, trials // 2))
                _wait_for(folder, len(finished) + more, process)
                assert process.poll() is None, (folder / "stock.log").read_text()[-2000:]
                process.send_signal(signal.SIGKILL)
                process.wait()
                finished |= _finished(folder)
                sent += 1
                time.sleep(5)  # for the rest of Ray to notice
                continue
            code = process.wait(1800)
    evaluated = [line["settings"] for line in _lines(folder) if line["iteration"] == 1]
    repeated = sum(count - 1 for count in Counter(evaluated).values())
    kept = set(json.loads((folder / "kept.json").read_text())) if code == 0 else set()
    return {
        "trials": trials,
        "kills": kills,
        "seed": seed,
        "exit_code": code,
        "finished_before_kills": len(finished),
        "lost": len(finished - kept),
        "repeated_settings": repeated,
        "repeated_share_of_finished": round(repeated / max(1, len(finished)), 2),
    }


def _wait_for(folder, count, process):
    while len(_finished(folder)) < count and process.poll() is None:
        time.sleep(0.2)


def _lines(folder):
    file = folder / "evaluated.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _finished(folder):
    return {line["settings"] for line in _lines(folder) if line["iteration"] == ITERATIONS}


def trainable(config):
    """Report a score for some iterations, and note down that they were made."""
    from ray import tune  # noqa: PLC0415 - in Ray's worker

    settings = json.dumps({k: config[k] for k in ("decay", "rate")}, sort_keys=True)
    for iteration in range(1, ITERATIONS + 1):
        time.sleep(SECONDS)
        score = -abs(config["decay"] - 0.6) + 0.01 * iteration
        with open(config["log"], "a") as log:  # noqa: PTH123 - appends whole lines
            log.write(json.dumps({"settings": settings, "iteration": iteration}) + "\n")
        tune.report({"score": score})


def main():
    """Begin or restore a stock search and note which settings it kept."""
    import ray  # noqa: PLC0415 - takes seconds
    from ray import tune  # noqa: PLC0415
    from ray.tune.schedulers import ASHAScheduler  # noqa: PLC0415
    from ray.tune.search.optuna import OptunaSearch  # noqa: PLC0415

    folder, trials, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    run = folder / "stock"
    if tune.Tuner.can_restore(str(run)):
        tuner = tune.Tuner.restore(str(run), trainable=trainable, resume_unfinished=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={
                "decay": tune.uniform(0.2, 0.9),
                "rate": tune.loguniform(0.005, 0.5),
                "log": str(folder / "evaluated.jsonl"),
            },
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(seed=seed),
                scheduler=ASHAScheduler(max_t=ITERATIONS, grace_period=ITERATIONS),
                num_samples=trials,
                max_concurrent_trials=2,
                metric="score",
                mode="max",
            ),
            run_config=tune.RunConfig(name="stock", storage_path=str(folder), verbose=0),
        )
    results = tuner.fit()
    kept = [
        json.dumps({k: result.config[k] for k in ("decay", "rate")}, sort_keys=True)
        for result in results
        if result.metrics and result.metrics.get("training_iteration") == ITERATIONS
    ]
    (folder / "kept.json").write_text(json.dumps(kept))
    ray.shutdown()


if __name__ == "__main__":
    main()
