"""What each launch in ``authoring/field`` must give: real ones from public places, shortened, without personal details.

The places: READMEs of the models, SGLang's, vLLM's and InferenceX's issues and pull requests, vendors' guides, public
scripts and unit files; each case's comment says which. Where a launch names no GPU, eight H200 are meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Case:
    """``file`` of ``folder`` is imported with ``gpu`` and ``version``, None where the text or glmdeploy tells it.

    ``says`` are texts that the messages contain, ``lines`` the lines at which an error stands, ``silent`` what they do
    not contain. Without ``profile`` something essential is missing, which is an error; with ``nothing`` no profile is
    written at all. Of the profile: ``data`` by dotted path, ``without`` paths at which it has nothing, ``finds`` the
    ids that its checks give, ``finds_not`` those that they do not, ``errors`` whether guard rules find errors (None:
    not said here). ``size`` is the answer of ``size``.
    """

    file: str
    folder: str = "field"
    profile: bool = True
    nothing: bool = False
    gpu: str | None = "H200:8"
    version: str | None = None
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    finds_not: tuple[str, ...] = ()
    errors: bool | None = None
    size: str | None = None


def refused(file: str, *says: str, **more: Any) -> Case:
    return Case(file=file, profile=False, says=says, **more)


def foreign(file: str, *says: str, **more: Any) -> Case:
    return Case(file=file, profile=False, nothing=True, says=says, **more)


ARGS = "sglang.args"

CASES = (
    refused("01-glm45v-missing-backslash.sh", "backslash", "--host", lines=(7,)),  # GLM-V's README
    Case(  # GLM-4.5's README: prefill and decode apart
        file="02-glm45air-pd.sh",
        says=("another launch",),
        silent=("HTTPS",),
        data={"model.repo": "zai-org/GLM-4.5-Air"},
    ),
    Case(file="03-glm45airfp8-eagle.sh", gpu="H200:4", errors=False),  # GLM-4.5's README
    Case(file="04-glm46-bf16-h200.sh", finds=("GLM070",), data={"model.repo": "zai-org/GLM-4.6"}),  # a vendor's guide
    Case(  # sglang #22757
        file="05-ds32-hicache-mooncake.sh",
        profile=False,
        says=("models/DeepSeek-V3.2-AWQ", "--repo"),
        silent=("no option",),
    ),
    Case(  # sglang #29562
        file="06-glm52-nvfp4-serve-model.sh",
        gpu="RTX-PRO-6000:8",
        data={"model.repo": "nvidia/GLM-5.2-NVFP4"},
        errors=True,
        says=(),
    ),
    Case(
        file="08-gptoss-triton.sh", gpu="H200:2", errors=False, data={"model.repo": "openai/gpt-oss-120b"}
    ),  # sglang PR #9992
    refused("09-gptoss-dp.sh", "-dp", "dp-size", silent=("dtype",)),  # sglang #8833
    foreign("10-glm5-b200-infx.sh", "$MODEL"),  # InferenceX PR #915
    Case(file="11-qwq-x8.sh", finds=("GLM070",), data={"model.repo": "Qwen/QwQ-32B"}),
    refused("12-missing-backslash-kv.sh", "backslash", "--kv-cache-dtype", lines=(5,)),
    Case(  # InferenceX
        file="13-glm5-infx-full.sh",
        gpu="B200:8",
        finds=("GLM001",),
        data={f"{ARGS}.cuda-graph-max-bs": 64, f"{ARGS}.nsa-prefill-backend": "trtllm"},
        silent=("no option",),
    ),
    Case(file="14-eagle3-no-draft.sh", errors=True),  # sglang #36528
    Case(file="16-qwen3-235b-fp8-tp8.sh", errors=True, size="does not fit"),  # sglang #5858
    refused("17-eagle-topk-fa3.sh", "--repo"),  # sglang #5491
    Case(file="18-air-awq-cvd.sh", profile=False, says=("--repo",), silent=("zai-org/GLM-4.5-Air-AWQ",)),
    Case(  # sglang's docker/compose.yaml
        file="19-compose.yaml",
        gpu=None,
        data={
            "sglang.image": "lmsysorg/sglang:latest",
            "model.repo": "meta-llama/Llama-3.1-8B-Instruct",
            f"{ARGS}.chunked-prefill-size": 2048,
            "server.port": 30000,
        },
        says=("GPU",),
    ),
    foreign("20-slurm-openr1.sh", "$1"),  # open-r1
    Case(  # WebCoach
        file="21-docker-hftoken-bashc.sh",
        data={"secrets.huggingface.keys": ["HF_TOKEN"]},
        silent=("hf_AAAA",),
    ),
    Case(  # tensorzero
        file="22-modal-t4.py",
        gpu=None,
        profile=True,
        says=("0.4.10.post2",),
        data={"gpu": "T4:1", "model.repo": "Qwen/Qwen2.5-1.5B-Instruct"},
    ),
    foreign("23-k8s-two-nodes.yaml", "--repo", lines=(18,), silent=("nodes",)),  # sglang's docker/k8s-*.yaml
    Case(file="24-dockerfile", data={"sglang.version": "0.5.10", "model.repo": "Qwen/Qwen3-8B"}),  # RubricLab
    Case(  # sglang #12289
        file="25-kimi-2node.sh",
        says=("`--node-rank 0` and `--dist-init-addr 10.0.0.1:20000` were left out",),
        data={"cluster": {"nodes": 2, "rdma": True}, "gpu": "H200:8", f"{ARGS}.tp-size": 16},
        without=(f"{ARGS}.nnodes", f"{ARGS}.node-rank", f"{ARGS}.dist-init-addr"),
    ),
    refused("27-ds32-gpustack-missing-backslash.sh", "backslash", "--reasoning-parser", lines=(4,)),
    Case(file="28-gptoss-dp-attn-garbage.sh", errors=None, finds=()),  # sglang #37187
    Case(file="29-qwen35-fp8-tp8.sh", finds_not=("knowledge",)),  # sglang #19045
    Case(  # skypilot's llm/sglang
        file="30-sky.yaml",
        gpu=None,
        data={
            "gpu": "H100:4",
            "sglang.version": "0.5.10",
            "model.repo": "zai-org/GLM-4.5-Air-FP8",
            f"{ARGS}.tp-size": 4,
        },
    ),
    Case(  # dstack's documentation
        file="31-dstack.yaml",
        gpu="H200",
        data={"sglang.image": "lmsysorg/sglang:v0.5.10", "model.repo": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"},
    ),
    Case(file="34-glm51-b200-dpattn-mem09.sh", gpu="B200:8", size="tight", errors=False),  # sglang PR #25453
    refused("35-underscore-flag.sh", "reasoning-parser"),  # sglang #12818
    Case(file="36-serve-positional.sh", data={"model.repo": "moonshotai/Kimi-K2-Instruct"}),
    refused("37-abbrev.sh", "speculative-draft"),  # sglang #3574
    Case(file="38-array-args.sh", data={f"{ARGS}.mem-fraction-static": 0.85, "server.port": 30010}),  # sglang #19104
    Case(file="39-array-cmd-infx.sh", says=("MOE_ARGS",)),  # InferenceX
    Case(file="40-glm51-rtxpro.sh", gpu="RTX-PRO-6000:8", errors=True),  # sglang #29562, PR #29580
    refused("41-config.yaml", "reasoning_parser", silent=("cuda-graph-bs",)),
    foreign("42-serve-config.sh", "my_config.yaml"),  # sglang #36105
    Case(file="43-air-fp8-gb200-dp.sh", gpu="B200:4"),  # sglang #11208
    Case(file="44-glm47-rocm.sh", errors=True),  # sglang #16027
    refused("45-enable-reasoning.sh", "enable-reasoning"),  # sglang #4116
    Case(file="46-fp8-e5m2-quant.sh"),  # sglang #3283
    foreign("47-image-no-entry.sh"),  # sglang #3855
    Case(file="48-branch.sh", says=("$KV", "$MEM", "EXTRA", "MOE")),
    Case(file="50-mla-on-gqa.sh", errors=True),
    Case(file="51-glm5-cp-mtp-pd.sh", finds=("GLM066",)),  # sglang #18830
    Case(file="53-chunk-not-page.sh", finds=("GLM032",)),  # sglang PR #8973
    Case(file="54-hicache-host.sh", finds=("GLM211",)),  # sglang PR #29263, #14282
    Case(  # modal-examples
        file="56-modal-very-large-config.yaml",
        silent=("no option",),
        data={f"{ARGS}.cuda-graph-max-bs": 32, f"{ARGS}.collect-tokens-histogram": True},
    ),
    Case(file="57-offload-h200.sh", version="0.5.11", finds=("GLM033", "GLM081", "GLM082", "GLM083")),  # InferenceX
    Case(file="58-conditional-array.sh", says=("PARALLEL_ARGS",)),
    Case(file="59-fp8-flashinfer-cutlass.sh", gpu="H200:4", errors=False, finds_not=("GLM120",)),  # sglang #27951
    Case(file="60-fp8-flashinfer-cutlass-glm51.sh", finds=("GLM120",)),
    Case(file="61-qwen3-235b-h100x4.sh", gpu="H100:4"),  # vllm #21348
    Case(file="62-cookbook-glm51-h200.sh", errors=False),
    Case(file="63-hisparse-glm51.sh", errors=False),
    Case(file="64-glm47-nvfp4.sh", gpu="B200:4", data={"model.repo": "nvidia/GLM-4.7-NVFP4"}),
    Case(file="65-gptoss-modal-h100.sh", gpu="H100", data={"model.repo": "openai/gpt-oss-20b"}),
    Case(file="66-ds31-air.sh", gpu="B200:8"),  # sglang PR #11309
    Case(file="68-glm47flash-eagle3.sh", gpu="H200", finds=("GLM073",)),  # EAGLE PR 330
    Case(file="69-slurm-qwen3vl.sh", gpu=None, data={"gpu": "H200:4", f"{ARGS}.keep-mm-feature-on-device": True}),
    Case(file="72-lora-multi.sh", data={"model.repo": "meta-llama/Llama-3.1-8B-Instruct"}),  # sglang PR 1433
    Case(file="73-embedding.sh", gpu="H200", data={"model.repo": "Alibaba-NLP/gte-Qwen2-7B-instruct"}),
    Case(  # a public unit file
        file="75-qwen3vl.service",
        gpu="H200",
        says=("PATH",),
        data={
            "model.repo": "Qwen/Qwen3-VL-8B-Instruct",
            "sglang.env.DRAFT": "/opt/nvme/models/Qwen3-VL-8B-Instruct-Eagle3",
        },
    ),
    Case(file="80-Makefile", data={"sglang.version": "0.5.11"}),
    Case(file="85-assign-default-eval.sh", data={f"{ARGS}.log-level": "info", f"{ARGS}.tp-size": 4}),
    refused("86-gguf.sh", "gguf", silent=("google/gemma-3-27b-it ",)),  # sglang #4894, #1616
    foreign("87-helm-values.yaml", "Helm", silent=("image-processor",)),
    Case(file="92-powershell.ps1", gpu="H200", data={"model.repo": "Qwen/Qwen3-8B-AWQ", "sglang.version": "0.5.11"}),
    Case(file="102-srun.sh", gpu="H200:2", data={"sglang.version": "0.5.11"}),
    Case(file="105-uvrun.sh", gpu="H200:2", data={"sglang.version": "0.5.11"}),
    Case(file="131-srun-image-pip.sh", gpu="H200:4", data={"sglang.version": "0.5.11"}),
    Case(file="117-forloop.sh", gpu="H200", says=("four servers",)),
    Case(file="119-nvfp4kv.sh", gpu="H100", errors=True),  # sglang PR 21601
    refused("135-backslash-space.sh", "blank", lines=(3,)),
    refused("136-comment-inside.sh", "--enable-metrics", "comment"),
    Case(
        file="147-modal-run-shell.py",
        gpu=None,
        data={"gpu": "H100:2", "sglang.image": "lmsysorg/sglang:v0.5.11", "server.port": 8000, f"{ARGS}.tp-size": 2},
    ),
    foreign("156-vllm-docker-minimal.sh", "vLLM", "tensor-parallel-size"),
    foreign("158-vllm-module.sh", "vLLM", "mem-fraction-static", "context-length"),  # vllm #18136
    refused(
        "163-vllm-flags-on-sglang.sh",
        *("mem-fraction-static", "context-length", "max-running-requests", "chunked-prefill-size", "lora-paths"),
        *("swap-space", "disable-log-requests", "enable-prefix-caching", "enable-auto-tool-choice"),
        silent=("did you mean `log-requests`", "max-total-tokens"),
    ),
    foreign("95-gbk-comment.sh", "iconv"),
)
