"""A checkpoint's ``config.json`` and the size of its weights, from the Hugging Face Hub, its cache, or a folder.

The Hub's client is the real one: it honours HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and HF_HOME, and keeps what it
fetched in its normal cache, from which the same question is answered without a network. Checked with
huggingface_hub 1.0 and 2.4.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG, INDEX, SINGLE = "config.json", "model.safetensors.index.json", "model.safetensors"

LIMITS = {CONFIG: 4 << 20, INDEX: 128 << 20}
"""Bytes that we read of each file; the index of a model of 1,000 experts has about 20 MB."""

_ADVICE = "give the checkpoint's config.json with --model-config FILE"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """``weights`` are the bytes of the weight files, None where nothing tells; ``told_by`` names what told them."""

    config: Mapping[str, Any]
    weights: int | None
    told_by: str | None = None


def from_folder(config: Path) -> Checkpoint:
    """A ``config.json`` on this machine; the weights' size from the index or the one weight file beside it.

    :raises GlmdeployError: if a file cannot be read or is not what its name says.
    """
    index, single = config.with_name(INDEX), config.with_name(SINGLE)
    weights, told_by = _total_size(index) if index.is_file() else None, INDEX
    if weights is None and single.is_file():
        weights, told_by = single.stat().st_size, SINGLE
    return Checkpoint(config=_read(config, LIMITS[CONFIG]), weights=weights, told_by=told_by if weights else None)


def from_hub(repo: str, revision: str) -> Checkpoint:
    """The checkpoint of a repository, at a commit, tag or branch. Without a network, what the Hub's cache has.

    :raises GlmdeployError: if the repository, its revision or its configuration cannot be had; never with a token.
    """
    config = _fetched(repo, revision, CONFIG)
    if config is None:
        raise GlmdeployError(f"{repo} has no {CONFIG} at revision {revision}", advice=_ADVICE)
    index = _fetched(repo, revision, INDEX, needed=False)
    weights, told_by = _total_size(index) if index else None, INDEX
    if weights is None:
        weights, told_by = _size_of_single(repo, revision), SINGLE
    return Checkpoint(config=_read(config, LIMITS[CONFIG]), weights=weights, told_by=told_by if weights else None)


def _fetched(repo: str, revision: str, name: str, *, needed: bool = True) -> Path | None:
    """The file in the Hub's cache, brought there if the Hub answers; None where the revision has no such file.

    A file that is not ``needed`` is None as well where the Hub cannot be reached and its cache does not have it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        size, unreachable = _size_on_hub(repo, revision, name)
        if size is not None and size > LIMITS[name]:
            raise _too_large(f"{name} of {repo}", LIMITS[name])
        return Path(hf_hub_download(repo, name, revision=revision, local_files_only=unreachable is not None))
    except LocalEntryNotFoundError:
        if not needed:
            return None
        raise GlmdeployError(
            f"the Hugging Face Hub could not be asked for {name} of {repo}, and its cache here does not have it"
            f" ({unreachable or 'the connection broke'})",
            advice=f"try again with a connection, or {_ADVICE}",
        ) from None
    except EntryNotFoundError:
        return None
    except GlmdeployError:
        raise
    except Exception as error:
        # What goes wrong in a download is the HTTP library's or the system's own exception.
        why = getattr(error, "strerror", None) or type(error).__name__
        raise GlmdeployError(
            f"{name} of {repo} could not be fetched: {why}", advice=f"try again, or {_ADVICE}"
        ) from None


def _size_on_hub(repo: str, revision: str, name: str) -> tuple[int | None, str | None]:
    """The file's size in bytes, where the Hub tells it, and why the Hub could not be asked, else None.

    Asked for before a download, because that would try for half a minute to reach a Hub that cannot be reached.
    Raises GlmdeployError where the Hub refuses, huggingface_hub's EntryNotFoundError where there is no such file.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        return get_hf_file_metadata(hf_hub_url(repo, name, revision=revision)).size, None
    except errors.EntryNotFoundError:
        raise
    except errors.GatedRepoError:
        raise GlmdeployError(
            f"{repo} is gated: its owner has to let you in",
            advice=f"ask for access on the model's page and set HF_TOKEN to a token of yours; or {_ADVICE}",
        ) from None
    except errors.RepositoryNotFoundError:
        raise GlmdeployError(
            f"the Hugging Face Hub knows no repository {repo}, or hides it from you",
            advice=f"check the name; if it is private, set HF_TOKEN to a token that may read it; or {_ADVICE}",
        ) from None
    except errors.RevisionNotFoundError:
        raise GlmdeployError(
            f"{repo} has no revision {revision}", advice="check `model.revision`: a commit hash, a tag or a branch"
        ) from None
    except errors.HFValidationError:
        raise GlmdeployError(f"the Hub allows no name such as {repo}", advice="check `model.repo`") from None
    except errors.HfHubHTTPError as error:
        return None, f"it answered with status {error.response.status_code}"
    except Exception as error:
        # The HTTP library's own, which is another one in other releases of huggingface_hub. Their text is not passed
        # on: that of a refused header has the token in it.
        return None, type(error).__name__


def _size_of_single(repo: str, revision: str) -> int | None:
    """The size of the one weight file of a model without an index, in bytes; None where it is not told."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    try:
        size, unreachable = _size_on_hub(repo, revision, SINGLE)
    except EntryNotFoundError:
        return None
    cached = try_to_load_from_cache(repo, SINGLE, revision=revision) if unreachable else None
    return Path(cached).stat().st_size if isinstance(cached, str) else size


def _total_size(index: Path) -> int | None:
    """``total_size`` of a safetensors index, in bytes; None where it has none. Some tools write it as ``1e9``."""
    metadata = _read(index, LIMITS[INDEX]).get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 1 << 60:
        return None
    return int(size)


def _read(path: Path, limit: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(limit + 1)
        if len(text) > limit:
            raise _too_large(str(path), limit)
        data = json.loads(text)
    except OSError as error:
        raise GlmdeployError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise GlmdeployError(f"{path} is no JSON: {why}", advice=_ADVICE) from None
    if not isinstance(data, dict):
        raise GlmdeployError(f"{path} is no JSON object", advice=_ADVICE)
    return data


def _too_large(what: str, limit: int) -> GlmdeployError:
    return GlmdeployError(f"{what} has more than {limit >> 20} MiB, which no real one has", advice=_ADVICE)
