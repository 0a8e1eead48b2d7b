"""Siblings of the launches in :mod:`field_cases`, in ``authoring/field/more``: other models, wrappers, slips and files.

Written after public scripts, READMEs, charts and issues, shortened; those that follow one closely name it.
"""

from __future__ import annotations

from functools import partial

from field_cases import ARGS, Case
from field_cases import foreign as _foreign
from field_cases import refused as _refused

more = partial(Case, folder="field/more")
refused = partial(_refused, folder="field/more")
foreign = partial(_foreign, folder="field/more")

SLIPS = (
    refused(
        "docker-first-line-lost.sh",
        *("backslash", "docker run --gpus all --shm-size 32g"),
        gpu="H200:4",
        lines=(1,),
        silent=("does not say which SGLang", "stands around the launch"),
        data={"sglang.version": "0.5.12.post1", "sglang.image": "lmsysorg/sglang:v0.5.12.post1"},
    ),
    more(file="commented-tail.sh", gpu="H200:8", errors=False, data={f"{ARGS}.max-running-requests": 128}),
    refused("no-break-space.sh", "no-break space", data={f"{ARGS}.tp-size": 8}),
    refused("em-dash-key.sh", "em dash", silent=("sk-live", "none takes all"), data={f"{ARGS}.tp-size": 8}),
    refused(
        "curly-json.sh",
        "left single quotation mark (U+2018)",
        silent=("belongs to no option", "is not the JSON"),
        data={f"{ARGS}.json-model-override-args": '{"rope_scaling": null}'},
    ),
    refused("curly-quotes.sh", "stand around this", silent=("123456",), data={"model.served_name": "my llama"}),
    refused("spaced-assignment.sh", "beside the =", lines=(1,), data={"model.repo": "Qwen/Qwen3-8B"}),
    refused(
        "spaced-export.sh",
        "beside the =",
        lines=(1, 2, 3),
        data={"model.repo": "Qwen/Qwen3-32B", f"{ARGS}.tp-size": 2, "server.port": 8000},
    ),
    foreign("single-quoted-variable.sh", "not exported", "zai-org/GLM-4.6", "--repo"),
    more(file="windows-lines.sh", gpu="H200:2", errors=False, says=("carriage return",)),
    more(file="macintosh-lines.sh", errors=False, data={f"{ARGS}.tp-size": 8}),
    foreign("two-backslashes.sh", "two backslashes", silent=("belongs to no option", "names no model"), lines=(1, 2)),
    foreign("slashes.sh", "a slash stands here", silent=("belongs to no option", "names no model"), lines=(1, 2)),
    refused("empty-line-inside.sh", "empty line", "--tp 8 --enable-metrics", lines=(4,)),
    refused("ampersand-inside.sh", "already at its end", "--tp 8 --port 8000", lines=(2,)),
    refused("prompts.sh", "makes a file of `--tp`", lines=(2,)),
    foreign("open-quote.sh", "never closed", lines=(1,)),
    refused(
        "slips.sh",
        *("`tp-size`", "cannot be `0,8`", "`reasoning-parser`", "`disable-cuda-graph`", "`port`"),
        *("`enable-metrics-for-all-schedulers`", "a comma stands behind"),
    ),
    refused(
        "single-dashes.sh",
        *("write `model-path`", "`tp-size`", "write `port`"),
        silent=("names no model",),
        data={"model.repo": "Qwen/Qwen3-8B"},
    ),
    refused("capitals.sh", "write `model-path`", "`tp-size`", silent=("names no model", "ep-size")),
    refused(
        "blanks-at-equals.sh",
        *("behind --model-path", "behind --tp", "behind --port"),
        silent=("belongs to no option",),
        data={"model.repo": "Qwen/Qwen3-8B", f"{ARGS}.tp-size": 8, "server.port": 30000},
    ),
    refused("commas.sh", "a comma stands behind", data={"model.repo": "Qwen/Qwen3-8B", f"{ARGS}.enable-metrics": True}),
    foreign("quoted-options.sh", "`--tp 8` is one word in its quotes"),
    foreign("module-with-hyphen.sh", "python3 -m sglang.launch-server does not launch SGLang"),
    foreign("sglang-server.sh", "sglang server does not launch SGLang"),
    more(file="abbreviated.sh", gpu="H200:2", errors=False, data={f"{ARGS}.disable-overlap-schedule": True}),
    more(file="utf-16.sh", errors=False, data={f"{ARGS}.tp-size": 8}),
    foreign("shift-jis.sh", "iconv -f CP932"),
    foreign("windows-1251.sh", "iconv -f WINDOWS-1251"),
)

SHELL = (
    more(  # iisquare/fs-gpt, sbin/sglang.sh
        file="cat-heredoc-eval.sh",
        says=("$cmd is set under a condition", "a guess"),
        data={"model.repo": "Qwen/Qwen2.5-0.5B", f"{ARGS}.tp-size": 1},
    ),
    more(file="cat-heredoc-bash.sh", gpu="H200:2", errors=False, data={"model.served_name": "my model"}),
    more(file="read-heredoc.sh", gpu="H200:2", errors=False, data={"model.repo": "Qwen/Qwen3-8B"}),
    more(file="model-as-argument.sh", gpu="H200", says=("${@:2}",), data={f"{ARGS}.mem-fraction-static": 0.65}),
    more(  # Terra-Flux/PolyRL, kube/docker/launch_sglang.sh
        file="host-of-machine.sh",
        gpu="H200:2",
        errors=False,
        says=("0.5.23 refuses --stream-output",),
        data={f"{ARGS}.stream-interval": 10},
    ),
    foreign("docker-or-native.sh", "/model", "--repo", "another launch"),
    more(file="function-in-loop.sh", gpu="H200:2", errors=False, says=("two servers", "Qwen/Qwen3-14B")),
    more(file="case-by-gpu.sh", gpu="B200:2", says=("in the case `*H200*`", "--attention-backend fa3")),
    more(
        file="options-loop.sh",
        gpu="H200:1",
        errors=False,
        says=("`Qwen/Qwen3-8B` was taken; it is `$2`",),
        data={"model.repo": "Qwen/Qwen3-8B", "server.port": 30000},
    ),
    more(file="getopts.sh", errors=False, data={"model.repo": "zai-org/GLM-4.6-FP8", f"{ARGS}.tp-size": 8}),
    more(file="own-file.sh", errors=None, data={"model.repo": "Qwen/Qwen3-8B", f"{ARGS}.tp-size": 8}),
    more(file="windows-path.sh", says=("a guess",), data={"model.served_name": "Qwen/Qwen3-8B"}),
    more(file="set-arguments.sh", says=("$@ is set under a condition",), data={f"{ARGS}.tp-size": 8}),
    more(file="kubectl-run.sh", data={"sglang.image": "lmsysorg/sglang:v0.5.16", "sglang.version": "0.5.16"}),
    more(file="brace-loop.sh", gpu="H200:1", errors=False, says=("four servers",)),
    more(
        file="docker-bash-lc.sh",
        errors=False,
        says=("transformers>=4.57",),
        data={"model.repo": "zai-org/GLM-4.7-FP8", "sglang.env.NCCL_IB_DISABLE": "1", "server.port": 8000},
    ),
    more(file="array-appended.sh", gpu="H200:4", says=("$ARGS", "$@"), errors=False),
    more(file="if-set.sh", gpu="H200:4", errors=False, says=("$CTX is not set", "$QUANT is not set")),
    more(file="path-at-home.sh", errors=None, says=("$HOME", "a guess"), data={"model.repo": "Qwen/Qwen3-8B"}),
    refused(
        "path-with-publisher.sh",
        *("zai-org/GLM-4.6-FP8 on the Hub is a guess", "such as MODEL_DIR=..."),
        data={"model.repo": "zai-org/GLM-4.6-FP8"},
    ),
    foreign("path-not-told.sh", "$MODEL_DIR, $MODEL"),
    more(
        file="basename.sh", errors=False, data={"model.repo": "zai-org/GLM-4.6-FP8", "model.served_name": "GLM-4.6-FP8"}
    ),
    more(  # gongyisheng/oss-workspace
        file="model-in-root.sh", gpu="H200:1", errors=False, data={"model.repo": "openai/gpt-oss-20b"}
    ),
    more(file="modelscope.sh", gpu="H200:1", errors=False, data={"model.repo": "Qwen/Qwen2.5-VL-7B-Instruct"}),
    more(file="ssh-heredoc.sh", errors=None, data={"server.port": 8000}),
    more(file="tmux.sh", gpu="H200:4", errors=False, says=("another launch",)),
    more(file="kubectl-exec.sh", errors=False, says=("kubectl", "nohup"), data={f"{ARGS}.page-size": 64}),
    more(
        file="docker-exec.sh",
        gpu="H200:4",
        errors=False,
        data={"sglang.version": "0.5.13.post1", "sglang.env.SGLANG_TORCH_PROFILER_DIR": "/tmp/p"},
    ),
    more(file="docker-entrypoint.sh", errors=None, says=("./prod.env",), data={"sglang.version": "0.5.12.post1"}),
    more(file="podman-digest.sh", data={"model.repo": "mistralai/Mistral-Small-3.2-24B-Instruct-2506"}),
    foreign("bench-only.sh", "nothing in this text launches SGLang"),
    foreign("only-talked-of.sh", "nothing in this text launches SGLang"),
    more(
        file="slurm-apptainer.sh",
        gpu=None,
        errors=False,
        silent=("hf_abc",),
        data={"gpu": "A100:2", f"{ARGS}.tp-size": 2, "sglang.version": "0.5.9"},
    ),
    more(
        file="slurm-two-nodes.sh",
        gpu=None,
        silent=("without srun", "the text gives 8 GPUs", "is not set in this text"),
        data={"cluster.nodes": 2, "gpu": "B200:8", f"{ARGS}.tp-size": 16},
    ),
    more(file="two-ranks.sh", says=("this is node 1 of the same launch",), data={"cluster.nodes": 2}),
    more(  # SGLang's documents on prefill and decode apart
        file="prefill-decode-router.sh", finds=("GLM066",), says=("another launch", "SGLang's router")
    ),
)

FILES = (
    more(  # av/harbor, compose.sglang.yml
        file="compose-variables.yaml",
        gpu="H200",
        errors=False,
        says=("${HARBOR_SGLANG_EXTRA_ARGS}",),
        data={"model.repo": "google/gemma-3-12b-it", "sglang.version": "0.5.12.post1"},
    ),
    more(
        file="compose-anchors.yaml",
        gpu="H200:4",
        errors=False,
        says=(".env", "webui"),
        silent=("hf_abc",),
        data={"sglang.version": "0.5.14", "model.repo": "Qwen/Qwen3-VL-30B-A3B-Instruct"},
    ),
    more(
        file="compose-build.yml",
        gpu="H200:2",
        errors=False,
        says=("Dockerfile", "transformers==4.57.1"),
        silent=("the image's tag does not say",),
    ),
    more(file="compose-prefill-decode.yaml", gpu="H200:2", finds=("GLM066",), says=("another launch", "router")),
    more(file="deployment.yaml", gpu=None, errors=False, data={"gpu": "H100:1", "sglang.version": "0.5.11"}),
    more(file="job.yaml", gpu=None, errors=False, silent=("hf_abc",), data={"gpu": "B200:8"}),
    more(file="kserve.yaml", gpu="H200:2", errors=False, data={"model.repo": "Qwen/Qwen3-32B", "server.port": 8080}),
    more(
        file="leader-workers.yaml",
        says=("without --tp-size, --nnodes, --trust-remote-code",),
        data={"cluster.nodes": 2, "gpu": "H200:8", f"{ARGS}.tp-size": 16},
    ),
    more(file="skypilot-two-nodes.yaml", gpu=None, data={"cluster.nodes": 2, "gpu": "H200:8"}),
    more(file="skypilot.yaml", gpu=None, data={"gpu": "H100:8", f"{ARGS}.ep-size": 8, f"{ARGS}.tp-size": 8}),
    more(file="dstack.yml", gpu=None, errors=False, data={"gpu": "H100:4", f"{ARGS}.tp-size": 4}),
    more(file="truss.yaml", gpu=None, errors=False, data={"gpu": "H100:2", "sglang.version": "0.5.11"}),
    more(file="knative.yaml", gpu="L4", errors=False, data={"model.repo": "Qwen/Qwen2.5-7B-Instruct-AWQ"}),
    foreign("ray-serve.yaml", "Ray Serve"),
    foreign("github-actions.yaml", "GitHub Actions"),
    foreign("helm-template.yaml", "Helm template"),
    refused(
        "config-underscores.yaml",
        *("write `model-path`", "write `tp-size`", "enable_dp_attention"),
        silent=("names no model",),
        lines=(1, 2, 3, 4, 5),
    ),
    refused("config-lists.yaml", "cannot set lora-paths", silent=("none takes all",), lines=(9,)),
    more(
        file="shell-form.Dockerfile",
        gpu="H200:2",
        errors=False,
        says=("RUN",),
        data={"sglang.version": "0.5.14", f"{ARGS}.tp-size": 2, "server.port": 8000},
    ),
    foreign("entrypoint.Dockerfile", "/data/models", "--repo"),
    more(file="condition.mk", gpu="H200:4", errors=False, says=("condition is not met",), data={f"{ARGS}.tp-size": 4}),
    more(
        file="Makefile", gpu="H200", errors=False, silent=("sk-live",), data={f"{ARGS}.tp-size": 1, "server.port": 8000}
    ),
    more(file="justfile", gpu="H200:2", errors=False, data={"sglang.version": "0.5.12.post1"}),
    more(file="supervisord.conf", gpu="H200", errors=False, says=("CUDA_VISIBLE_DEVICES", "%(ENV_PORT)s")),
    more(file="docker.service", gpu="H200:2", errors=False, says=("/etc/sglang.env",), data={f"{ARGS}.tp-size": 2}),
    more(file="start.bat", gpu="H200", errors=False, data={"model.repo": "Qwen/Qwen3-4B", "sglang.version": "0.5.16"}),
    more(file="serve.fish", gpu="H200:2", errors=False, data={f"{ARGS}.reasoning-parser": "qwen3"}),
    more(file="readme.md", errors=False, data={"model.repo": "moonshotai/Kimi-K2.5", f"{ARGS}.tp-size": 8}),
    more(file="readme-two-engines.md", says=("vLLM",), finds=("GLM207",), errors=False),  # SGLang's page on GLM-4.6
    more(  # modal-examples, sglang_low_latency.py
        file="modal-class.py",
        gpu=None,
        errors=False,
        says=("0.5.6.post2", "proxy_regions"),
        data={"sglang.version": "0.5.8", "sglang.image": "lmsysorg/sglang:v0.5.8", f"{ARGS}.cuda-graph-max-bs": 20},
    ),
    more(
        file="modal-getenv.py",
        gpu=None,
        errors=False,
        says=("LLM_MODEL is not set", "of several GPUs"),
        silent=("hf_AAAA",),
        data={"gpu": "H100:1", "sglang.version": "0.5.12.post1"},
    ),
    foreign("modal-vllm.py", "vLLM"),
    more(file="launch-server-cmd.py", gpu="H200", errors=False, data={"model.repo": "qwen/qwen2.5-0.5b-instruct"}),
    foreign("engine.py", "sgl.Engine"),
)

OTHERS = (
    foreign("vllm-serve.sh", "vLLM", "max-running-requests", "fp8_e4m3"),
    foreign("trtllm.sh", "TensorRT-LLM", "chunked-prefill-size"),
    foreign("tgi.sh", "TGI", "context-length", silent=("hf_aaaa",)),
    foreign("llamacpp.sh", "llama.cpp", "context-length"),
    foreign("ollama.sh", "Ollama"),
    foreign("vllm-compose.yaml", "vLLM", "mem-fraction-static", silent=("sk-secret",)),
    refused(
        "vllm-options.sh",
        *("limit-mm-data-per-request", "context-length", "disable-radix-cache", "grammar-backend", "page-size"),
        gpu="H200:4",
        silent=("none takes all",),
    ),
    foreign("router-launch-server.sh", "SGLang's router"),
    foreign("dynamo.sh", "NVIDIA Dynamo"),
    refused("diffusion.sh", "diffusion models"),
)

MODELS = (
    more(file="npu.sh", gpu="H200", finds=("GLM166",), says=("a guess",)),
    more(file="xpu.sh", gpu="H200", finds=("GLM166",)),
    more(
        file="cpu.sh", gpu="H200:1", finds=("GLM166",), finds_not=("GLM020", "GLM026")
    ),  # SGLang's page on CPU servers
    more(file="wave.sh", finds=("GLM165",)),
    more(file="rocm-image.sh", finds=("GLM165",), says=("not for NVIDIA's GPUs",), data={"sglang.version": "0.5.10"}),
    refused("ascend-image.sh", "not for NVIDIA's GPUs", "--repo", silent=("8.5.0;",)),
    more(  # InferenceX, DeepSeek-R1 in FP4
        file="inferencex-r1-fp4.sh",
        gpu="B200:8",
        errors=False,
        says=("$SCHEDULER_RECV_INTERVAL", "0.5.23 refuses --cuda-graph-max-bs"),
        data={f"{ARGS}.scheduler-recv-interval": 10},
    ),
    more(file="flashmla-on-gqa.sh", gpu="H200:4", finds=("GLM167",)),
    more(file="standalone-no-draft.sh", gpu="H200", finds=("GLM176",)),
    more(file="embedding-docker.sh", gpu="H200", errors=False, data={"model.repo": "Qwen/Qwen3-Embedding-8B"}),
    more(file="rerank.sh", gpu="H200", errors=False, data={f"{ARGS}.chunked-prefill-size": -1}),
    more(file="gguf-repository.sh", gpu="H200:2", finds=("GLM172",)),
    more(file="kimi-awq.sh", errors=False, data={"model.repo": "QuantTrio/Kimi-K2-Instruct-0905-AWQ"}),
    more(  # ktransformers issue #2083
        file="ktransformers.sh",
        gpu="H200",
        finds=("GLM130",),
        finds_not=("GLM080",),
        data={"model.repo": "zai-org/GLM-5.2"},
    ),
    more(file="qwen35-mtp.sh", gpu="H200", errors=False, says=("0.5.19",), finds=("GLM039",)),  # sglang #28312
    more(
        file="qwen3-next.sh", gpu="H200:4", errors=False, data={f"{ARGS}.trust-remote-code": True}
    ),  # sglang PR #16708
    more(file="minimax-ep.sh", errors=False, data={f"{ARGS}.ep-size": 8}),  # SGLang's page on MiniMax-M2
    more(file="adapters-of-one-name.sh", gpu="H200:8", finds=("GLM173",)),
    more(file="hicache-ratio.sh", finds=("GLM211",), errors=False),
)

SECRETS = (
    more(
        file="secrets-docker.sh",
        gpu="H200",
        errors=False,
        says=("OPENAI_API_KEY", "HTTPS_PROXY", "--admin-api-key"),
        silent=("hf_AAAA", "sk-proj", "p4ssw0rd", "mysecret", "adminsecret"),
    ),
    refused("secrets-mistyped.sh", "belongs to no option", silent=("hf_AAAA", "hf_BBBB", "sk-live", "mysecret")),
    more(
        file="ecs-task.json",
        gpu="H200:4",
        errors=False,
        says=("the value of HF_TOKEN was not copied",),
        silent=("hf_AAAA",),
        data={"sglang.version": "0.5.16"},
    ),
    more(file="secrets.ps1", gpu="H200", errors=False, silent=("hf_AAAA", "topsecret")),
)

CASES = (*SLIPS, *SHELL, *FILES, *OTHERS, *MODELS, *SECRETS)
