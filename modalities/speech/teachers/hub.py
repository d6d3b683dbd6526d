"""Models of transformers by local folder or hub id: safetensors only, complete, no remote code, or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....core.compat import ensure_torchaudio
from ....core.errors import InputError, first_line


def load_pretrained(name: str, local_files_only: bool) -> tuple[Any, Any]:
    """Feature extractor and model (of two towers the encoder) in float32, evaluation mode, frozen.

    Raises InputError when transformers is missing, the model cannot be had, or its weights are not complete.
    """
    try:
        ensure_torchaudio()
        import transformers
    except ImportError as error:
        raise InputError(
            "a pretrained teacher needs transformers", source="objective.targets", field="teacher", got=error,
            fix="pip install 'omnipatch[speech]'",
        ) from error  # fmt: skip
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    local = Path(name).expanduser()
    place = str(local) if local.is_dir() else name
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local_files_only or local.is_dir()}
    try:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(place, **options)
        model, report = transformers.AutoModel.from_pretrained(
            place, use_safetensors=True, output_loading_info=True, **options
        )
    except Exception as error:  # the hub, its cache and foreign files fail with many kinds of exception
        raise InputError(
            "the teacher cannot be loaded", source="objective.targets", field="teacher.model",
            got=f"{name} ({first_line(error)})",
            expected="a folder or hub id with config.json, preprocessor_config.json and safetensors weights",
            fix="check the name, or download the model and give its folder",
        ) from error  # fmt: skip
    # what marks hidden places in its own pretraining is never used here
    missing = sorted(name for name in report["missing_keys"] if not name.endswith("masked_spec_embed"))
    if missing:
        raise InputError(
            "the weights of the teacher are not complete", source="objective.targets", field="teacher.model",
            got=f"{name} without {missing[0]} (and {len(missing) - 1} more)", fix="give the folder of a whole model",
        )  # fmt: skip
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    if not getattr(extractor, "sampling_rate", None):
        raise no_teacher(name, f"{type(extractor).__name__} without a sampling rate")
    return extractor, model.float().eval().requires_grad_(False)


def no_teacher(name: str, got: str) -> InputError:
    """The error for a model of another kind."""
    return InputError(
        "the model has no states along the time of a sound", source="objective.targets", field="teacher.model",
        got=f"{name} ({got})", expected="an encoder of sound such as HuBERT, wav2vec 2.0, WavLM or Whisper",
    )  # fmt: skip
