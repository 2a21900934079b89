"""The ways to saliency that `saliency_throughput.py` compares: token id sequences in, weights of their tokens out."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import toxitrace
from toxitrace.detector.backend import Backend
from toxitrace.detector.batching import pad
from toxitrace.detector.loading import BackendName
from toxitrace.detector.scoring import saliencies
from toxitrace.encoder import Classifier, load_classifier
from toxitrace.saliency import margin_saliency
from toxitrace.training.quiet import quiet_libraries

Method = Callable[[list[list[int]]], list[np.ndarray]]
BATCH = 32
# name -> (makes the method from model folder and export folder, takes texts one by one, package it needs)
METHODS: dict[str, tuple[Callable[[Path, Path], Method], bool, str]] = {
    "ours: onnxruntime fp32": (lambda _, export: _ours(export, "onnx"), False, "onnxruntime"),
    "ours: OpenVINO": (lambda _, export: _ours(export, "openvino"), False, "openvino"),
    "torch fp32, batches of 32": (
        lambda folder, _: torch_batched(load_classifier(folder), 0, bf16=False),
        False,
        "torch",
    ),
    "torch bf16, batches of 32": (
        lambda folder, _: torch_batched(load_classifier(folder), 0, bf16=True),
        False,
        "torch",
    ),
    "captum Saliency, one by one": (lambda folder, _: captum_saliency(load_classifier(folder)), True, "captum"),
    "captum IntegratedGradients, 50 steps": (
        lambda folder, _: captum_integrated_gradients(load_classifier(folder), 50),
        True,
        "captum",
    ),
    "transformers-interpret": (lambda folder, _: interpret(folder), True, "transformers_interpret"),
}


def methods_here() -> dict[str, bool]:
    """The methods whose packages are installed, and whether each takes texts one by one."""
    return {name: single for name, (_, single, package) in METHODS.items() if importlib.util.find_spec(package)}


@contextlib.contextmanager
def timed_process(name: str, folder: Path, export: Path) -> Iterator[Callable[[list[list[list[int]]]], float]]:
    """A process that holds one method; the function sends it sets of sequences and returns the seconds they took."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(name, folder, export, there), daemon=True)
    process.start()
    there.close()

    def timed(sets: list[list[list[int]]]) -> float:
        time.sleep(0.3)  # until the threads of the process before have gone to sleep
        here.send(sets)
        return float(here.recv())

    try:
        yield timed
    finally:
        here.close()
        process.join(30)


def _serve(name: str, folder: Path, export: Path, pipe: Connection) -> None:
    quiet_libraries()
    torch.set_num_threads(os.cpu_count() or 1)
    method = METHODS[name][0](folder, export)
    with contextlib.suppress(EOFError):
        while True:
            sets = pipe.recv()
            started = time.perf_counter()
            for sequences in sets:
                method(sequences)
            pipe.send(time.perf_counter() - started)


def _ours(export: Path, backend: BackendName) -> Method:
    detector = toxitrace.load(export, backend=backend)
    return detector_saliency(detector.backend, detector.tokenizer.pad_id)


def _torch(folder: Path, bf16: bool) -> Method:
    return torch_batched(load_classifier(folder), 0, bf16)


def detector_saliency(backend: Backend, pad_id: int) -> Method:
    """What a Detector does."""
    return lambda sequences: [weights.saliency for weights in saliencies(backend, sequences, pad_id)[1]]


def torch_batched(classifier: Classifier, pad_id: int, bf16: bool) -> Method:
    """Autograd through transformers, sorted by length, 32 at a time: what a careful user of torch would write."""

    def run(sequences: list[list[int]]) -> list[np.ndarray]:
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        found: list[np.ndarray] = [np.zeros(0)] * len(sequences)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = pad([sequences[i] for i in rows], pad_id)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _, weights = margin_saliency(
                    classifier, torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask)
                )
            for row, index in enumerate(rows):
                found[index] = weights[row, : len(sequences[index])].float().numpy()
        return found

    return run


def reference(classifier: Classifier) -> Method:
    """Float64, one text at a time."""
    exact = copy.deepcopy(classifier).double()

    def run(sequences: list[list[int]]) -> list[np.ndarray]:
        rows = (torch.tensor([sequence]) for sequence in sequences)
        return [margin_saliency(exact, ids, torch.ones_like(ids))[1][0].numpy() for ids in rows]

    return run


def captum_saliency(classifier: Classifier) -> Method:
    """captum.attr.Saliency on the word embeddings, text by text."""
    from captum.attr import Saliency

    method = Saliency(_margin(classifier))

    def run(sequences: list[list[int]]) -> list[np.ndarray]:
        found = []
        for sequence in sequences:
            embedded, mask = _embedded(classifier, sequence)
            gradient = method.attribute(embedded, additional_forward_args=(mask,), abs=False)
            found.append(gradient[0].norm(dim=-1).numpy())
        return found

    return run


def captum_integrated_gradients(classifier: Classifier, n_steps: int) -> Method:
    """captum.attr.IntegratedGradients from the embedding of [PAD], text by text, its steps in one batch."""
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(_margin(classifier))

    def run(sequences: list[list[int]]) -> list[np.ndarray]:
        found = []
        for sequence in sequences:
            embedded, mask = _embedded(classifier, sequence)
            baseline = _embedded(classifier, [0] * len(sequence))[0].detach()
            parts = method.attribute(embedded, baseline, additional_forward_args=(mask,), n_steps=n_steps)
            found.append(parts[0].sum(-1).abs().detach().numpy())
        return found

    return run


def interpret(folder: Path) -> Method:
    """transformers-interpret with its defaults (50 steps of layer integrated gradients), text by text."""
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
    from transformers_interpret import SequenceClassificationExplainer

    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    explainer = SequenceClassificationExplainer(model, tokenizer)

    def run(sequences: list[list[int]]) -> list[np.ndarray]:
        found = []
        for sequence in sequences:
            text = "".join(tokenizer.convert_ids_to_tokens(sequence[1:-1])).replace("##", "")
            found.append(np.array([weight for _, weight in explainer(text)]))
        return found

    return run


def _margin(classifier: Classifier) -> Callable[[Tensor, Tensor], Tensor]:
    def margin(embeddings: Tensor, mask: Tensor) -> Tensor:
        logits = classifier.encode(embeddings, mask.expand(len(embeddings), -1)).logits
        return logits[:, 1] - logits[:, 0]

    return margin


def _embedded(classifier: Classifier, sequence: list[int]) -> tuple[Any, Tensor]:
    ids = torch.tensor([sequence])
    return classifier.embed(ids).detach().requires_grad_(), torch.ones_like(ids)
