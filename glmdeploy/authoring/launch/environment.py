"""Environment variables and secrets of a launch: what the image gets, and what only a Modal Secret may hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from glmdeploy.authoring.launch.masking import holds_secret
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch, Word
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.authoring.launch.sections import Sections

HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
KERNELS = "SGLANG_DG_CACHE_DIR"

_DEVICES = frozenset({"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"})
_MACHINE = re.compile(
    r"(?:NCCL|GLOO|TP)_SOCKET_IFNAME|NCCL_(?:IB_HCA|IB_GID_INDEX|TOPO_FILE|COMM_ID|OOB_NET_IFNAME)|UCX_NET_DEVICES"
    r"|NVSHMEM_HCA_\w+|(?:SGLANG_|SGL_)?(?:HOST|POD|NODE)_IP|SGLANG_LOCAL_IP_NIC|MASTER_(?:ADDR|PORT)"
    r"|(?:NODE_|LOCAL_)?RANK|NNODES|NUM_NODES|(?:LOCAL_)?WORLD_SIZE|(?:LWS|SLURM|SKYPILOT|DSTACK)_\w+"
)
"""What names interfaces, cards and addresses of the old machines, or which of them one is: of NCCL, Gloo, UCX, NVSHMEM,
torch, and of what starts the nodes. SGLang's own stand in its ``environ.py``.
"""
_NETWORK = re.compile(
    r"(?:NCCL|GLOO)_(?:SOCKET_\w+|IB_\w+|NET|NET_\w+|CROSS_NIC|TUNER_PLUGIN)|(?:UCX|NVSHMEM|FI|MC|OMPI_MCA)_\w+"
)
"""What only tunes the network between nodes, of these and of libfabric and Mooncake: one node does without it."""
_VARIABLE = re.compile(r"(?:--[\w-]+=)?\"?\$(?:\{([A-Za-z_]\w*)(?::?[-=?][^}]*)?\}|([A-Za-z_]\w*))\"?", re.ASCII)
_API_KEY = "API_KEY"


def place_secrets(launch: Launch, api_key: Given | None, app: str, wanted: ImportOptions, sections: Sections) -> None:
    """The section ``secrets``, or ``server.public`` where the endpoint shall have no key; values are dropped."""
    token = next((name for name in HUB_TOKENS if name in launch.env), None)
    if token is not None:
        sections.put(("secrets", "huggingface"), {"name": "huggingface-secret", "keys": [token]})
        _dropped(launch.env[token], token, f"modal secret create huggingface-secret {token}=...", sections)
    name = f"{app[:55]}-api-key"
    word = api_key.values[0] if api_key else None
    if word is not None:
        match = _VARIABLE.fullmatch(word.raw)
        key = match[1] or match[2] if match else _API_KEY
        sections.put(("secrets", "api_key"), {"name": name, "keys": [key]})
        _dropped(word, "--api-key", f"modal secret create {name} {key}=...", sections)
    elif wanted.public:
        sections.put(("server", "public"), True)
    else:
        sections.put(("secrets", "api_key"), {"name": name, "keys": [_API_KEY]})
        message = "the launch has no --api-key, but on Modal anyone could reach it: a key was added"
        fix = "create the secret, or import with --public for an open endpoint"
        sections.note(Severity.WARNING, message, launch.place, fix=fix)


def hide(word: Word, sections: Sections) -> bool:
    """Keep a value from being shown. Whether there is a value to hide, and not only a variable's name."""
    if not word.text or _VARIABLE.fullmatch(word.text):
        return False
    sections.secrets.append(word)
    return True


def _dropped(word: Word, what: str, command: str, sections: Sections) -> None:
    if hide(word, sections):
        message = f"the value of {what} was not copied"
        sections.note(Severity.INFO, message, word.span, fix=f"put it into Modal: {command}")


def of_network(name: str) -> bool:
    """Whether a variable is of the machines' network, or tells one of them from the others."""
    return name in _DEVICES or any(each.fullmatch(name) for each in (_MACHINE, _NETWORK))


def place_variables(launch: Launch, sections: Sections) -> None:
    """The variables of the image. Those of which the text does not tell the value are told, not placed."""
    for name, word in launch.env.items():
        if name in HUB_TOKENS:
            hide(word, sections)
            continue
        if holds_secret(name, None if word.unknown else word.text):
            hide(word, sections)
            message = f"{name} looks like a secret, for which a profile has no place"
            sections.note(Severity.WARNING, message, word.span, fix="add a Modal Secret of your own where it is needed")
        elif name in _DEVICES:
            message = f"{name} was left out: a Modal container has just the GPUs that it uses"
            sections.note(Severity.WARNING, message, word.span)
        elif _MACHINE.fullmatch(name) or ("cluster" in sections.data and of_network(name)):
            message = f"{name} was left out: it is of the old machines and their network"
            sections.note(Severity.INFO, message, word.span)
        elif word.unknown:
            message = f"{name} needs {', '.join(word.unknown)}, which is not in this text; it was left out"
            sections.note(Severity.WARNING, message, word.span, fix="set it under `sglang.env` if it is needed")
        else:
            sections.put(("sglang", "env", name), sections.use(word), word.span)
