"""The page of the book that shows the results: page.md, filled in from the JSON file alone."""

from pathlib import Path


def page(results, shop, speed, retrieval, serving):
    """Return the page, Markdown, of the results, the contents of the five JSON files."""
    machine, versions = results["machine"], results["versions"]
    template = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")
    return template.format(
        dataset=results["dataset"],
        chosen_by=_metric(results["chosen_by"]),
        seed=results["seed"],
        versions=", ".join(f"{package} {version}" for package, version in versions.items()),
        machine=f"{machine['processor']}, {machine['cores']} cores, {machine['system']}",
        shop=_shop(shop),
        speed=_speed(speed),
        retrieval=_retrieval(retrieval),
        serving=_serving(serving),
        **{question["name"]: _section(question) for question in results["questions"]},
    )


def _shop(shop):
    adds = [
        "{} {:.3f} [{:.3f},\u00a0{:.3f}]".format(name, gain["mean"], gain["low"], gain["high"])
        for name, gain in shop["adds"].items()
    ]
    search = ["| tried | recall@20 |", "|---|---:|"]
    search += [f"| {row['tried']} | {row['validation']:.3f} |" for row in shop["search"]]
    return {
        "candidates": shop["candidates"],
        "users": f"{shop['users']:,}",
        **{name: f"{shop[name]:.3f}" for name in ("chance", "two_tower", "all", "perfect")},
        **{name: f"{100 * shop[name]:.0f}\u00a0%" for name in ("share", "two_tower_share")},
        "adds": ", ".join(adds),
        "seconds": shop["seconds"],
        "peak": shop["peak_gb"],
        "search": "\n".join(search),
    }


def _speed(speed):
    lines = [
        "| loss | training | examples a second | ratio | memory, MB |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['loss']} | {row['name']} | {row['examples_per_second']:,.0f} | {row['ratio']:g} | "
        f"{row['peak_mb']:,} |"
        for row in speed["rows"]
    ]
    parts = {row["loss"]: row["parts"] for row in speed["rows"] if row["parts"]}
    names = list(next(iter(parts.values())))
    where = ["| share of a step | " + " | ".join(parts) + " |", "|---|" + "---:|" * len(parts)]
    where += [
        f"| {name} | " + " | ".join(f"{100 * of[name]:.0f}\u00a0%" for of in parts.values()) + " |"
        for name in names
    ]
    sizes = {name: speed[name] for name in ("dim", "history", "targets", "users", "shared")}
    ours = {row["loss"]: row["ratio"] for row in speed["rows"] if row["name"] == "TwoTower"}
    return {
        "table": "\n".join(lines),
        "where": "\n".join(where),
        "negatives": sizes["users"] * sizes["shared"],
        "in_batch": f"{ours['in-batch softmax']:.1f}",
        "over_all": f"{ours['softmax over all items']:.1f}",
        **sizes,
    }


def _retrieval(retrieval):
    groups = {}
    for row in retrieval["rows"]:
        groups.setdefault((row["items"], row["vectors"]), []).append(row)
    lines = []
    for (items, vectors), rows in groups.items():
        first = rows[0]
        lines += [
            f"**{items:,} {vectors} vectors**; {first['name']} takes "
            f"{1e3 * first['batch']:.2g}\u00a0ms a query in batches and "
            f"{1e3 * first['one']:.2g}\u00a0ms one at a time:",
            "",
            "| index | setting | recall | in batches | one at a time | built in, s | MB |",
            "|---|---|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            ours = "Index" in row["name"]
            name = f"**{row['name']}**" if ours else row["name"]
            setting = row["setting"].replace(",", " ")
            lines.append(
                f"| {name} | {setting} | {row['recall']:.3f} | {row['batch_ratio']:g} | "
                f"{row['one_ratio']:g} | {row['build']:g} | {row['mb']} |"
            )
        lines.append("")
    sizes = {name: retrieval[name] for name in ("dim", "batch", "wanted")}
    return {"tables": "\n".join(lines), **sizes}


def _serving(serving):
    servers = serving["servers"]
    lines = [
        "| server | clients | answers a second | share of a constant's | p50, ms | p99, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    constant = next(iter(servers.values()))
    for name, rows in servers.items():
        for clients, row, reference in zip(serving["clients"], rows, constant, strict=True):
            share = row["per_second"] / reference["per_second"]
            lines.append(
                f"| {name} | {clients} | {row['per_second']:,} | {share:.2f} | "
                f"{row['p50_ms']:.1f} | {row['p99_ms']:.1f} |"
            )
    sizes = {name: serving[name] for name in ("k", "history", "dim")}
    return {"table": "\n".join(lines), **sizes}


def _section(question):
    counts = "{train:,} ratings in train, {validation:,} in validation and {test:,} in test"
    return {
        "parts": counts.format(**question["interactions"]),
        "users": f"{question['users']:,}",
        "candidates": f"{question['candidates']:,}",
        "reference": _name(question["reference"]),
        "accuracy": accuracy_table(question),
        "details": detail_table(question),
    }


def accuracy_table(question):
    """Return the table of the metrics on test, the best NDCG@20 first."""
    metrics = list(question["rows"][0]["test"])
    lines = [
        "| model | " + " | ".join(map(_metric, metrics)) + " |",
        "|---|" + "---:|" * len(metrics),
    ]
    for row in _ordered(question):
        values = [row["test"][metric] for metric in metrics]
        cells = [f"{v['mean']:.3f}\u00a0±\u00a0{(v['high'] - v['low']) / 2:.3f}" for v in values]
        lines.append(f"| {_name(row)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def detail_table(question):
    """Return the table of differences, validation, times and settings, in the same order."""
    lines = ["| model | difference | validation | time | settings |", "|---|---:|---:|---:|---|"]
    for row in _ordered(question):
        difference = "–"
        if "difference" in row:
            difference = "{mean:+.3f} [{low:+.3f},\u00a0{high:+.3f}]".format(**row["difference"])
        cells = [
            _name(row),
            difference.replace("-", "−"),
            f"{row['grid'][0]['validation']:.3f}",
            f"{row['fit_time_of_ease']:g}",
            ", ".join(f"`{name}={value}`" for name, value in row["options"].items()) or "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _ordered(question):
    return sorted(question["rows"], key=lambda row: -row["test"]["ndcg@20"]["mean"])


def _name(row):
    name, library = row["name"], row["library"]
    return f"**{name}**" if library == "mmrec_tf" else f"{name} ({library})"


def _metric(name):
    kind, k = name.split("@")
    return {"recall": "Recall", "ndcg": "NDCG"}[kind] + f"@{k}"
