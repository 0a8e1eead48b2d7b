"""What is around a launch: commands that start it, the release, GPUs and image that they name, and what is left out."""

from __future__ import annotations

import pytest

from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.slurm import modal_name

SERVER = "python3 -m sglang.launch_server --tp 8"


@pytest.mark.parametrize(
    "text",
    [
        f"timeout 5h stdbuf -oL numactl -N 0 -m 0 {SERVER}",
        f"conda run -n env --no-capture-output {SERVER}",
        f"poetry run {SERVER}",
        "accelerate launch -m sglang.launch_server --tp 8",
        "torchrun --nproc-per-node 1 -m sglang.launch_server --tp 8",
        f"kubectl exec -it pod -c main -- bash -c '{SERVER}'",
        f"docker exec box bash -lc 'cd /x && {SERVER}'",
        f"docker compose exec server {SERVER}",
        f"ssh -p 22 host 'cd /x; {SERVER} > log 2>&1 &'",
        f"tmux new-session -d -s x '{SERVER}'",
        f"tmux send-keys -t x '{SERVER}' C-m",
        f"screen -dmS x {SERVER}",
        f"systemd-run --unit=x {SERVER}",
        f"apptainer exec --nv x.sif {SERVER}",
        f"srun -N 1 {SERVER}",
        f"unheard-of --of this {SERVER}",
        f"nohup {'nohup ' * 200}{SERVER}",
    ],
)
def test_the_launch_is_found_and_what_is_around_it_is_told(text: str) -> None:
    [found] = launches(text)
    assert [word.text for word in found.words] == ["--tp", "8"]
    assert "left out" in " ".join(note.message for note in found.notes)
    assert min(note.span[0] for note in found.notes) == 0


@pytest.mark.parametrize(
    ("before", "releases"),
    [
        ('pip install "sglang[all]==0.5.10"\n', ["0.5.10"]),
        ("V=0.5.10\npip3 install -U sglang==$V\n", ["0.5.10"]),
        ("python3 -m pip install 'sglang[srt,openai] == 0.5.10.post1'\n", ["0.5.10.post1"]),
        ("uv pip install sglang==v0.5.10\n", ["0.5.10"]),
        ("pip install https://x.y/sglang-0.5.10-py3-none-any.whl\n", ["0.5.10"]),
        ("pip install git+https://github.com/sgl-project/sglang.git@v0.5.10#subdirectory=python\n", ["0.5.10"]),
        ("git clone -b v0.5.10 https://github.com/sgl-project/sglang.git\n", ["0.5.10"]),
        ("pip install sglang==0.5.9\npip install sglang==0.5.10\n", ["0.5.9", "0.5.10"]),
        ("uv run --with 'sglang[all]==0.5.11' ", ["0.5.11"]),
        ("apptainer exec --nv /x/sglang_v0.5.11-cu130.sif ", ["0.5.11"]),
        ("pip install sglang-router==0.3.2 sgl-kernel==0.3.1 'sglang>=0.5.9'\n", []),
        ("echo sglang==0.5.10\n", []),
    ],
)
def test_releases(before: str, releases: list[str]) -> None:
    text = before + SERVER
    [found] = launches(text)
    assert [word.text for word in found.releases] == releases
    for word in found.releases:
        assert word.variables or text[slice(*word.span)].removeprefix("v") == word.text


@pytest.mark.parametrize(
    ("before", "gpu"),
    [
        ("#SBATCH --gres=gpu:h200:4\n", "H200:4"),
        ("#SBATCH --gpus-per-node h100:8 # all\n", "H100:8"),
        ("#SBATCH -G 4\n", ":4"),
        ("srun --gres=gpu:2 ", ":2"),
        ("#SBATCH --gres=gpu:h200:4\nsrun --gpus=b200:2 ", "B200:2"),
        ("##SBATCH --gres=gpu:h200:4\n", None),
        ("#SBATCH --gres=shard:2\n", None),
        ("#SBATCH --gres=gpu:mi300x:8\n", ":8"),
    ],
)
def test_gpus(before: str, gpu: str | None) -> None:
    [found] = launches(before + SERVER)
    assert (found.gpu.text if found.gpu else None) == gpu


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h200", "H200"),
        ("nvidia_h100_80gb_hbm3", "H100"),
        ("a100_80gb", "A100-80GB"),
        ("NVIDIA-A100-SXM4-80GB", "A100"),
        ("a10g", "A10"),
        ("rtx_pro_6000", "RTX-PRO-6000"),
        ("gh200", None),
        ("mi300x", None),
    ],
)
def test_names_of_gpus(name: str, expected: str | None) -> None:
    assert modal_name(name) == expected


def test_images_and_environments() -> None:
    [pyxis] = launches(f"srun --container-image=nvcr.io#a/b:1 --container-mounts=/x:/y --export=ALL,A=1 {SERVER}")
    assert pyxis.container is not None
    assert pyxis.container.image.text == "nvcr.io/a/b:1"
    assert [(name, word.text) for name, word in pyxis.container.flags] == [("volume", "/x:/y")]
    assert {name: word.text for name, word in pyxis.env.items()} == {"A": "1"}
    [file] = launches(f"singularity exec --env A=1,B=2 /x/sglang.sif {SERVER}")
    assert file.container is None
    assert {name: word.text for name, word in file.env.items()} == {"A": "1", "B": "2"}
    assert any("no image for Modal" in note.message for note in file.notes)
    text = f"docker run -d --name box -e A=1 lmsysorg/sglang:v0.5.11 sleep 9\ndocker exec box bash -c '{SERVER}'"
    [inside] = launches(text)
    assert inside.container is not None
    assert inside.container.image.text == "lmsysorg/sglang:v0.5.11"
    assert inside.env["A"].text == "1"


@pytest.mark.parametrize(
    ("before", "behind", "nodes", "told"),
    [
        ("#SBATCH --nodes=2\nsrun ", "", "2", []),
        ("#SBATCH -N2\nsrun --mpi=none ", "", "2", []),
        ("#SBATCH --nodes=2-4\nsrun ", "", "2", []),
        ("srun --nodes 4 bash -c '", "'", "4", []),
        ("#SBATCH --nodes=2\n", "", None, ["warning"]),
        ("#SBATCH --nodes=2\n", " --nnodes 2", None, []),
        ("#SBATCH --nodes=2\nsrun --nodes=1 ", "", "1", []),
        ("#SBATCH --nodes=2\nsrun -n 1 ", "", "1", []),
        ("#SBATCH --nodes=$N\nsrun ", "", None, []),
    ],
)
def test_on_how_many_nodes_a_job_runs_a_launch(before: str, behind: str, nodes: str | None, told: list[str]) -> None:
    [found] = launches(f"{before}{SERVER}{behind}")
    assert (found.nodes.text if found.nodes else None) == nodes
    assert [note.severity for note in found.notes if "without srun" in note.message] == told


@pytest.mark.parametrize(
    ("gpus", "each", "of_all"),
    [
        ("--gpus=16", ":8", "16"),
        ("-G h200:16", "H200:8", "16"),
        ("--gpus=h200:9", "H200", "9"),
        ("--gpus-per-node=8", ":8", "8"),
        ("--gres=gpu:8", ":8", "8"),
    ],
)
def test_the_gpus_of_a_job_and_those_of_its_nodes(gpus: str, each: str, of_all: str) -> None:
    [found] = launches(f"#SBATCH -N 2\n#SBATCH {gpus}\nsrun {SERVER} --max-running-requests $SLURM_GPUS")
    assert found.gpu is not None
    assert found.gpu.text == each
    assert found.words[-1].text == of_all


def test_what_starts_the_nodes_tells_inner_shells_of_them() -> None:
    [found] = launches(f"#SBATCH -N 2\nsrun bash -c '{SERVER} --nnodes $SLURM_NNODES --node-rank $SLURM_NODEID'")
    assert [(word.text, word.unknown) for word in found.words[3::2]] == [
        ("2", ()),
        ("$SLURM_NODEID", ("$SLURM_NODEID",)),
    ]
    assert not [note for note in found.notes if "exported" in note.message]
    assert not found.env


def test_other_engines_behind_other_commands() -> None:
    for text in (
        "srun vllm serve X",
        "sh -c 'vllm serve X'",
        "ssh host 'vllm serve X'",
        "docker run --gpus all vllm/vllm-openai:v0.9 --model X",
        "nohup $PY -m vllm.entrypoints.openai.api_server --model X",
    ):
        [found] = launches(text)
        assert found.engine is not None, text
    assert launches("uv pip install vllm torch") == []


def test_what_is_set_outside_a_container_is_told() -> None:
    [found] = launches(f"export A=1\nB=2 docker run image {SERVER}")
    said = {note.message: note.severity for note in found.notes if "does not reach it" in note.message}
    assert {message.split()[0]: severity.value for message, severity in said.items()} == {"A": "info", "B": "warning"}
