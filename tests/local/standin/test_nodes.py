"""Several nodes of the stand-in, as processes: what they wait for, and what becomes of them without each other.

What the real SGLang 0.5.23 does, two nodes of which were started on one CPU, stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from standin_process import ARGUMENTS, PATIENCE, Engine, command, free_port, run, start
from support import wait_until

from glmdeploy.local.standin import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEWEST = {"GLMDEPLOY_STANDIN_SGLANG_VERSION": "0.5.23"}


class Cluster:
    """Nodes that are started one after another."""

    def __init__(self, model: Path, container: Path, folder: Path, *, size: int = 2) -> None:
        self._model, self._container, self._folder = model, container, folder
        self.size = size
        self.address = f"127.0.0.1:{free_port()}"
        self.engines: dict[int, Engine] = {}

    def start(self, rank: int, **variables: str) -> Engine:
        words = ["--tp", str(4 * self.size), "--nnodes", str(self.size), "--node-rank", str(rank)]
        words += ["--dist-init-addr", self.address]
        log = self._folder / f"{rank}.log"
        self.engines[rank] = start(self._model, self._container, log, *ARGUMENTS, *words, **{**NEWEST, **variables})
        return self.engines[rank]

    def both(self, **variables: str) -> tuple[Engine, Engine]:
        first, second = self.start(0, **variables), self.start(1, **variables)
        assert first.statuses_until_healthy()[-1] == 200
        self.healthy(1)
        return first, second

    def healthy(self, rank: int) -> None:
        def well() -> bool:
            assert self.engines[rank].process.poll() is None, self.log(rank)
            return self.status(rank) == 200

        wait_until(well)

    def status(self, rank: int, path: str = "/health") -> int:
        """0 where nobody listens."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.engines[rank].port}{path}", timeout=PATIENCE
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def log(self, rank: int) -> str:
        return self.engines[rank].log.read_text()


@pytest.fixture
def cluster(model: Path, container: Path, tmp_path: Path) -> Iterator[Cluster]:
    with a_cluster(model, container, tmp_path) as made:
        yield made


@contextmanager
def a_cluster(model: Path, container: Path, folder: Path, *, size: int = 2) -> Iterator[Cluster]:
    made = Cluster(model, container, folder, size=size)
    yield made
    for engine in made.engines.values():
        with contextlib.suppress(ProcessLookupError):
            engine.process.send_signal(signal.SIGCONT)
        engine.process.kill()
        engine.process.wait()


class TestStart:
    @pytest.mark.parametrize("first", [0, 1, 2])
    def test_all_wait_for_the_last_one(self, model: Path, container: Path, tmp_path: Path, first: int) -> None:
        with a_cluster(model, container, tmp_path, size=3) as cluster:
            for rank in {0, 1, 2} - {first}:
                cluster.start(rank)
            waiting = [rank for rank in (0, 1, 2) if rank != first]
            wait_until(lambda: first == 0 or "waiting for 2 other nodes" in cluster.log(0))
            assert {cluster.status(rank) for rank in waiting} <= {0, 503}
            cluster.start(first)
            for rank in (0, 1, 2):
                cluster.healthy(rank)
            assert cluster.engines[0].chat("hello")[0] == 200

    def test_a_rank_above_0_has_its_health_and_nothing_else(self, cluster: Cluster) -> None:
        first, second = cluster.both()
        for path in ("/ping", "/health", "/health_generate", "/metrics"):
            assert cluster.status(1, path) == 200
        assert second.ask("/v1/models", key=None) == (404, {"detail": "Not Found"})
        assert second.chat("hello")[0] == 404
        assert first.ask("/server_info")[1]["nnodes"] == 2

    @pytest.mark.thorough
    def test_an_address_that_is_taken(self, cluster: Cluster) -> None:
        cluster.both()
        words = ["--nnodes", "2", "--node-rank", "0", "--dist-init-addr", cluster.address, "--port", str(free_port())]
        done = run(cluster._container, *command("launch_server", cluster._model, *ARGUMENTS, *words), **NEWEST)
        assert done.returncode == 1
        assert "address already in use" in done.stderr

    @pytest.mark.parametrize(
        ("words", "version", "says"),
        [
            (["--tp", "3"], "0.5.8", "AssertionError: tp_size must be divisible by number of nodes"),
            (["--tp", "1", "--pp-size", "1"], "0.5.23", "AssertionError: tp_size must be divisible by number of nodes"),
            (["--tp", "4", "--dp", "2"], "0.5.21", "multi-node data parallel is not supported unless dp attention!"),
            (["--tp", "4", "--dp", "2"], "0.5.22", "multi-node data-parallel replicas are not supported"),
        ],
    )
    def test_what_a_release_refuses(
        self, model: Path, container: Path, words: list[str], version: str, says: str
    ) -> None:
        nodes = ["--nnodes", "2", "--node-rank", "1", "--dist-init-addr", "127.0.0.1:1"]
        done = run(
            container, *command("launch_server", model, *nodes, *words), GLMDEPLOY_STANDIN_SGLANG_VERSION=version
        )
        assert done.returncode == 1
        assert says in done.stderr

    def test_more_ranks_than_gpus(self, model: Path, container: Path) -> None:
        words = ["--tp", "16", "--nnodes", "2", "--node-rank", "1", "--dist-init-addr", "127.0.0.1:1"]
        done = run(container, *command("launch_server", model, *words), GLMDEPLOY_LOCAL_GPU="B200:4", **NEWEST)
        assert done.returncode == 1
        assert "invalid device ordinal (the stand-in counts 8 ranks for 4 GPUs)" in done.stderr


@pytest.mark.parametrize(
    ("sizes", "gpus"),
    [
        ({"tp_size": 16, "nnodes": 2}, 8),
        ({"tp_size": 8, "nnodes": 1}, 8),
        ({"tp_size": 8, "pp_size": 2, "nnodes": 2}, 8),
        ({"tp_size": 8, "pp_size": 4, "nnodes": 2}, 16),
        ({"tp_size": 8, "pp_size": 2, "nnodes": 4}, 4),
        ({"tp_size": 2, "dp_size": 4, "nnodes": 1}, 8),
        ({"tp_size": 16, "dp_size": 16, "enable_dp_attention": True, "nnodes": 2}, 8),
    ],
)
def test_gpus_of_a_node(sizes: dict[str, int], gpus: int) -> None:
    one = {"tp_size": 1, "pp_size": 1, "dp_size": 1, "enable_dp_attention": False}
    assert nodes.gpus_of_node(argparse.Namespace(**{**one, **sizes})) == gpus


class TestEnd:
    def test_rank_0_ends_all_in_the_orderly_way(self, cluster: Cluster) -> None:
        first, second = cluster.both()
        first.process.terminate()
        assert first.process.wait(PATIENCE) == 0
        assert second.process.wait(PATIENCE) == 0
        assert "terminated with 0" in cluster.log(1)
        assert "is gone" not in cluster.log(0) + cluster.log(1)

    def test_a_newer_rank_1_waits_for_rank_0(self, cluster: Cluster) -> None:
        first, second = cluster.both()
        second.process.terminate()
        wait_until(lambda: "SIGTERM received on node_rank 1" in cluster.log(1))
        assert first.chat("hello")[0] == 200
        first.process.terminate()
        assert second.process.wait(PATIENCE) == 0

    def test_an_older_one_ends(self, cluster: Cluster) -> None:
        """Releases before 0.5.21 have no handler of their own."""
        _, second = cluster.both(GLMDEPLOY_STANDIN_SGLANG_VERSION="0.5.20")
        second.process.terminate()
        assert second.process.wait(PATIENCE) == -signal.SIGTERM

    def test_rank_0_hangs_when_rank_1_is_gone(self, cluster: Cluster) -> None:
        first, second = cluster.both(SGLANG_HEALTH_CHECK_TIMEOUT="1")
        second.process.kill()
        wait_until(lambda: cluster.status(0) == 503)
        assert first.process.poll() is None

    def test_rank_1_seems_well_when_rank_0_is_gone(self, cluster: Cluster) -> None:
        first, second = cluster.both()
        first.process.kill()
        wait_until(lambda: "the node of rank 0 is gone" in cluster.log(1))
        assert cluster.status(1) == 200
        assert second.process.poll() is None

    @pytest.mark.parametrize("rank", [0, 1])
    def test_the_end_of_one_may_end_the_other(self, cluster: Cluster, rank: int) -> None:
        engines = cluster.both(GLMDEPLOY_STANDIN_PEER_GONE="end")
        engines[rank].process.kill()
        assert engines[1 - rank].process.wait(PATIENCE) == -signal.SIGKILL

    @pytest.mark.thorough
    def test_rank_0_hangs_as_long_as_rank_1_does(self, cluster: Cluster, tmp_path: Path) -> None:
        first, _ = cluster.both(SGLANG_HEALTH_CHECK_TIMEOUT="1")
        os.kill(cluster.engines[1].process.pid, signal.SIGSTOP)
        wait_until(lambda: cluster.status(0) == 503)
        os.kill(cluster.engines[1].process.pid, signal.SIGCONT)
        wait_until(lambda: cluster.status(0) == 200)
        assert first.chat("hello")[0] == 200

    @pytest.mark.thorough
    def test_rank_1_seems_well_while_rank_0_hangs(self, cluster: Cluster) -> None:
        first, _ = cluster.both()
        os.kill(first.process.pid, signal.SIGSTOP)
        assert cluster.status(1) == 200
        os.kill(first.process.pid, signal.SIGCONT)
        assert first.chat("hello")[0] == 200

    @pytest.mark.thorough
    def test_a_hang_that_is_rehearsed(self, cluster: Cluster, tmp_path: Path) -> None:
        cluster.start(0, SGLANG_HEALTH_CHECK_TIMEOUT="1")
        cluster.start(1, GLMDEPLOY_STANDIN_HANG_FILE=str(tmp_path / "hang"))
        cluster.healthy(0)
        (tmp_path / "hang").touch()
        wait_until(lambda: cluster.status(0) == 503)
        assert cluster.status(1) == 200
        (tmp_path / "hang").unlink()
        wait_until(lambda: cluster.status(0) == 200)

    def test_without_a_peer_that_loads_there_is_no_start(self, cluster: Cluster) -> None:
        first = cluster.start(0, GLMDEPLOY_STANDIN_START_SECONDS="0.5")
        second = cluster.start(1, GLMDEPLOY_STANDIN_START_SECONDS="60")
        wait_until(lambda: "all 2 nodes are there" in cluster.log(0))
        second.process.kill()
        wait_until(lambda: "the node of rank 1 is gone" in cluster.log(0))
        assert "fired up" not in cluster.log(0)
        assert first.process.poll() is None
