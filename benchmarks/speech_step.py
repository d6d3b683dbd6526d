"""A pretraining step of wav2vec 2.0 in transformers against the same step of omnipatch, from the waveform on.

    OMP_NUM_THREADS=1 python benchmarks/speech_step.py [--size 192x4] [--batch 16] [--rounds 5]

A step takes 16 clips of 2 s at 16 kHz (the longest window of the recipes) from waveform to updated weights: forward,
backward, AdamW and, where there is one, the moving average. Clips are noise in memory. Rates are seconds of audio a
second of processor time, one thread.

Rows
- transformers: see `wav2vec2.py`; in float32, which is how it ships, or under bf16 autocast.
- speech-...: the recipe with an encoder of the same width and depth. Each step begins with the waveforms: checks,
  log-mel, normalisation, tokens and, in speech-mvq, the search for codes, whose centres are learned before the clock
  starts. (A real run does all of this once and keeps it.)
  Heads stay as shipped. The recipes' tokens are 50 a second, as many as wav2vec 2.0 has; the row at 25 Hz has half.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import wav2vec2
from bench import OWN, pretraining_step, print_tables, race, serve
from omnipatch.core.batching import collate
from omnipatch.core.modality import Modality, Recording
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.settings import Settings, load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.core.train.optimizer import build_adamw
from omnipatch.modalities.speech.mvq import train_quantizer
from torch import Tensor

SIZES = {"192x4": (192, 4), "768x12": (768, 12)}
RATE_HZ, CLIP_S = 16_000, 2.0
AS_SHIPPED, EQUAL = "transformers, as shipped (fp32)", "transformers, bf16"
ROWS = {
    AS_SHIPPED: "transformers:0:fp32",
    EQUAL: "transformers:0:bf16",
    **{f"{name}, as shipped ({OWN})": f"{name}:50:{OWN}" for name in ("speech-mae", "speech-jepa", "speech-mvq")},
    f"speech-jepa, 25 Hz ({OWN})": f"speech-jepa:25:{OWN}",
    "speech-jepa, fp32": "speech-jepa:50:fp32",
}


def clips(count: int) -> Tensor:
    """[clip, sample] of noise, quiet enough not to clip."""
    return 0.1 * torch.randn(count, round(CLIP_S * RATE_HZ), generator=torch.Generator().manual_seed(0))


def heard(modality: Modality, waves: Tensor) -> PatchSequence:
    """Waveforms [clip, sample] as one batch of tokens, by all that is done to a file once it is read."""
    made = [Recording(x[None], ("mono",), RATE_HZ, "FS", str(i)) for i, x in enumerate(waves.numpy())]
    rows = [modality.patchify(window) for recording in made for window in modality.windows(recording)]
    return collate(rows).replace(window=torch.arange(len(rows)))


def cut(token_hz: float) -> list[str]:
    """Options by which a clip is one window: both sides see each second once."""
    values = {"token_hz": token_hz, "window_s": CLIP_S, "stride_s": CLIP_S}
    return [f"--modality.{key}={value:g}" for key, value in values.items()]


def centres(settings: Settings, waves: Tensor) -> Path:
    """File of the quantiser that the recipe would learn from these waveforms."""
    options = settings.recipe.objective["targets"]["codes"]
    values = heard(settings.modality, waves).values
    assert values is not None
    path = Path(tempfile.mkdtemp()) / "centres.safetensors"
    train_quantizer(values.flatten(0, 1), options["codebooks"], options["entries"]).save(path)
    return path


def contestant(side: str, token_hz: float, mixed: Callable, size: str, batch: int) -> Callable[[], None]:
    """One step of a row."""
    torch.manual_seed(0)
    (width, depth), waves = SIZES[size], clips(batch)
    if side == "transformers":
        step = wav2vec2.pretraining(waves, width, depth)[1]

        def peer() -> None:  # entered anew each step: weights cast once would be kept while it lasts
            with mixed():
                step()

        return peer
    shape = {"width": width, "depth": depth, "heads": width // wav2vec2.HEAD}
    given = [*cut(token_hz), *(f"--encoder.{key}={value}" for key, value in shape.items())]
    if side == "speech-mvq":
        given.append(f"--objective.targets.codes.quantizer={centres(load(side, given), waves)}")
    settings = load(side, given)
    recipe, modality = settings.recipe, settings.modality
    encoder = fresh_encoder(recipe.encoder, modality.spec, recipe.seed)
    objective = Objective.from_config(recipe.objective, modality.spec, encoder)
    objective.augment, objective.total_steps = modality.augment, recipe.trainer.max_steps

    def data() -> PatchSequence:
        made = heard(modality, waves)
        objective.prepare(lambda: [made])  # searches the codes, where they are what is asked for
        return made

    return pretraining_step(objective, build_adamw(objective, recipe.optimizer), data, recipe.seed, mixed)


def compare(size: str, batch: int, rounds: int, steps: int) -> None:
    """Time all rows in alternation; prints a table against each precision of transformers."""
    base = [__file__, f"--size={size}", f"--batch={batch}", f"--steps={steps}"]
    contestants = race(base, ROWS, rounds)
    print(f"\n{size}, {batch} clips of {CLIP_S:g} s, {rounds} rounds of {steps} steps, one thread")
    print_tables(contestants, (AS_SHIPPED, EQUAL), batch * CLIP_S, "audio-s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, help="width x depth of the encoder; default: both, in turn")
    parser.add_argument("--batch", type=int, default=16, help="clips a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="steps a round")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.worker:
        side, token_hz, precision = args.worker.split(":")

        def mixed() -> contextlib.AbstractContextManager:
            return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

        serve(contestant(side, float(token_hz), mixed, args.size, args.batch), args.steps, clock=time.process_time)
        return
    for size in [args.size] if args.size else SIZES:
        compare(size, args.batch, args.rounds, args.steps)


if __name__ == "__main__":
    main()
