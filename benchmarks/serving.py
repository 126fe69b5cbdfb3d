"""The service under load: throughput and latency, beside a FastAPI that returns a constant.

python -m benchmarks.serving
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.run import machine

RESULTS = Path(__file__).parent / "results" / "serving.json"
DIM, K, HISTORY = 64, 10, 20
CLIENTS = (1, 16, 64)
SECONDS, ROUNDS = 4, 3
SERVERS = {
    "a constant": {},
    "2,000 items, exact": {"N_ITEMS": "2000"},
    "100,000 items, exact": {"N_ITEMS": "100000"},
    "100,000 items, codes": {"N_ITEMS": "100000", "FACTORY": "PQ32x4fs,RFlat"},
}


def create_constant():
    """Return an application that returns always the same, of the size of a real answer."""
    import fastapi

    app = fastapi.FastAPI()
    answer = {
        "items": [{"id": f"item {n}", "score": n / 7} for n in range(K)],
        "fallback": None,
        "version": 1,
    }

    @app.post("/recommend")
    async def recommend():
        return answer

    return app


def create_service():
    """Return the service, of a model of random weights: their values do not change its speed."""
    from mmrec_tf import FaissIndex, ItemIndex
    from mmrec_tf.serving import Servable, create_app
    from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

    n = int(os.environ["N_ITEMS"])
    ids = [f"item {number}" for number in range(n)]

    def load():
        model = TwoTower(
            QueryTower(n, DIM, normalize=True, seed=0),
            CandidateTower(n, DIM, normalize=True, seed=0),
            counts=np.ones(n),
        )
        model({"history": np.zeros((1, HISTORY), np.int32)})
        vectors = model.candidate_vectors()
        factory = os.environ.get("FACTORY")
        if factory is None:
            index = ItemIndex(ids, vectors)
        else:
            index = FaissIndex(ids, vectors, factory, "k_factor_rf=40")
        return Servable(model, ids, index)

    return create_app(load, os.environ["JOURNAL"])


def requests(n_items):
    """Return 512 requests for random histories, in bytes."""
    rng = np.random.default_rng(0)
    for _ in range(512):
        history = [f"item {item}" for item in rng.choice(n_items, HISTORY, replace=False)]
        body = json.dumps({"history": history, "k": K}).encode()
        head = (
            "POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def load(port, messages, clients):
    """Ask for `SECONDS`, each client as soon as it is answered; return latencies in seconds."""
    end = time.perf_counter() + SECONDS
    latencies = []

    async def client(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (start := time.perf_counter()) < end:
            writer.write(messages[(number + len(latencies)) % len(messages)])
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head)
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            latencies.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return latencies


def measure(environment):
    """Start a server, and return throughput and latencies for each number of clients."""
    factory = "create_service" if environment else "create_constant"
    command = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.serving:{factory}"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        environment = {**os.environ, **environment, "JOURNAL": str(Path(folder, "items.db"))}
        with log.open("wb") as file:
            server = subprocess.Popen(
                [*command, "--port", "0", "--no-access-log"], env=environment, stderr=file
            )
        try:
            while not (found := re.search(r"running on http://.*:(\d+)", log.read_text())):
                if server.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.1)
            messages = list(requests(int(environment.get("N_ITEMS", 2000))))
            port, rows = int(found[1]), {}
            asyncio.run(load(port, messages, 16))  # So that all is traced and cached.
            for clients in CLIENTS:
                latencies = asyncio.run(load(port, messages, clients))
                median, late = np.quantile(latencies, [0.5, 0.99]) * 1000
                rows[clients] = (len(latencies) / SECONDS, median, late)
            return rows
        finally:
            server.terminate()
            server.wait()


def main():
    """Run everything: about three minutes on two cores."""
    # In turns, so that what else the machine does falls on all alike; the best of each.
    found = [{name: measure(env) for name, env in SERVERS.items()} for _ in range(ROUNDS)]
    results = {"servers": {}, "clients": list(CLIENTS), "k": K, "history": HISTORY, "dim": DIM}
    for name in SERVERS:
        results["servers"][name] = [
            {
                "per_second": round(max(rows[name][clients][0] for rows in found)),
                "p50_ms": round(min(rows[name][clients][1] for rows in found), 2),
                "p99_ms": round(min(rows[name][clients][2] for rows in found), 2),
            }
            for clients in CLIENTS
        ]
        print(name, results["servers"][name])
    results["machine"] = machine()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
