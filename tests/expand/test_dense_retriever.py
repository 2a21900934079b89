"""Vectors, their cache, hard negatives, the loss against a formula written out, and training."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from toxitrace.errors import ConfigError, DataError, ModelError
from toxitrace.expand.beir import read_retrieval_set
from toxitrace.expand.embeddings import EmbeddingCache, EmbeddingKey
from toxitrace.expand.fingerprint import model_fingerprint, texts_fingerprint
from toxitrace.expand.mining import mine_negatives
from toxitrace.expand.represent import query_vectors, unit
from toxitrace.expand.retriever import exact_run, open_retriever
from toxitrace.expand.retriever_settings import RetrieverSettings
from toxitrace.expand.systems import bm25_run, dense_run, hybrid_run
from toxitrace.expand.train_retriever import RetrieverTraining, TrainingRow, columns, train_retriever, training_rows

pytest.importorskip("sentence_transformers")

from tiny_retrieval import SUBJECTS, write_encoder

KEY = EmbeddingKey("model", "corpus", "mean", 32)
SHORT = RetrieverSettings(max_tokens=32)


def tiny_rows(n: int = 8) -> list[TrainingRow]:
    return [
        TrainingRow(f"q{i}", f"什么是{name}？", f"{name}是常见的东西", SUBJECTS[i - 1], f"人们喜欢{name}")
        for i, name in enumerate(SUBJECTS[:n])
    ]


# --- what stands for a query


def test_the_three_representations_are_unit_vectors_of_what_they_say() -> None:
    rng = np.random.default_rng(0)
    asked, written = rng.normal(size=(2, 5, 8)).astype(np.float32) * 7
    assert query_vectors(asked, None, "query") == pytest.approx(unit(asked))
    assert query_vectors(asked, written, "expansion") == pytest.approx(unit(written))
    mean = query_vectors(asked, written, "mean")
    assert mean == pytest.approx(unit(unit(asked) / 2 + unit(written) / 2), abs=1e-6)
    assert np.linalg.norm(mean, axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_normalising_the_mean_changes_no_ranking() -> None:
    rng = np.random.default_rng(1)
    asked, written, documents = unit(rng.normal(size=(3, 6, 8)))
    published = documents @ (asked / 2 + written / 2).T
    ours = documents @ query_vectors(asked, written, "mean").T
    assert (np.argsort(published, axis=0) == np.argsort(ours, axis=0)).all()


def test_a_mode_that_needs_expansions_says_so() -> None:
    with pytest.raises(DataError, match="no expansions"):
        query_vectors(np.eye(2), None, "mean")
    with pytest.raises(ConfigError, match="expected one of"):
        query_vectors(np.eye(2), None, "sum")  # type: ignore[arg-type]


# --- the loss


def info_nce(anchors: torch.Tensor, documents: torch.Tensor, temperature: float) -> torch.Tensor:
    cosines = functional.normalize(anchors, dim=-1) @ functional.normalize(documents, dim=-1).T
    return functional.cross_entropy(cosines / temperature, torch.arange(len(anchors)))


def test_the_mean_loss_is_infonce_of_the_vector_that_evaluation_ranks_by() -> None:
    from toxitrace.expand.contrastive_loss import MeanQueryLoss

    torch.manual_seed(0)
    query, expansion, positive, negative = (torch.randn(4, 6) for _ in range(4))
    loss = MeanQueryLoss(torch.nn.Identity(), scale=50.0)  # type: ignore[arg-type]
    found = loss.compute_loss_from_embeddings([query, expansion, positive, negative], torch.zeros(0))
    anchors = torch.from_numpy(query_vectors(query.numpy(), expansion.numpy(), "mean"))
    assert found.item() == pytest.approx(info_nce(anchors, torch.cat([positive, negative]), 0.02).item(), rel=1e-5)


def test_cached_gradients_of_the_mean_loss_are_those_of_the_whole_batch(encoder: Path) -> None:
    from toxitrace.expand.contrastive_loss import contrastive_loss

    retriever = open_retriever(encoder, RetrieverSettings("mean", max_tokens=32))
    model = retriever.model.eval()  # no dropout: both see the same numbers
    table = columns(tiny_rows(6), retriever)
    gradients = []
    for mini_batch_size in (None, 2):
        features = [model.preprocess(column) for column in table.values()]
        loss = contrastive_loss(model, "mean", 0.02, mini_batch_size)
        model.zero_grad()
        value = loss(features, torch.zeros(6))
        value.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=1e-5), name


def test_every_mode_trains_on_its_own_columns(encoder: Path) -> None:
    for mode, names in (
        ("query", ["query", "document", "hard"]),
        ("expansion", ["expansion", "document", "hard"]),
        ("mean", ["query", "expansion", "document", "hard"]),
    ):
        retriever = open_retriever(encoder, RetrieverSettings(mode, max_tokens=32))  # type: ignore[arg-type]
        assert list(columns(tiny_rows(2), retriever)) == names


def test_a_batch_never_holds_a_text_twice() -> None:
    from datasets import Dataset
    from sentence_transformers.base.sampler import NoDuplicatesBatchSampler

    rows = Dataset.from_dict({"query": [f"q{n}" for n in range(12)], "document": [f"d{n // 4}" for n in range(12)]})
    sampler = NoDuplicatesBatchSampler(rows, 3, drop_last=False, generator=torch.Generator(), seed=1)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(12))
    assert all(len({rows[i]["document"] for i in batch}) == len(batch) for batch in batches)


# --- the model


@pytest.mark.parametrize("ngram_buckets", [0, 31])
def test_the_projects_own_encoders_are_opened_with_their_folding(ngram_buckets: int, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", ngram_buckets=ngram_buckets)
    retriever = open_retriever(folder, SHORT)
    assert retriever.settings.fold is not None
    raw, folded = retriever.encode(["貓ＡＢ", "猫ab"])
    assert raw == pytest.approx(folded)
    assert np.linalg.norm(raw) == pytest.approx(1.0, abs=1e-6)


def test_ngrams_reach_the_vectors(encoder: Path) -> None:
    from toxitrace.encoder.ngrams import ngram_tables

    model = open_retriever(encoder, SHORT).model
    (table,) = ngram_tables(model)
    before = model.encode(["人们喜欢猫"])
    with torch.no_grad():
        table.zero_()
    assert not np.allclose(before, model.encode(["人们喜欢猫"]))


def test_vectors_are_the_mean_over_tokens_of_the_last_layer(encoder: Path) -> None:
    from toxitrace.encoder.ngrams import NgramBertModel

    retriever = open_retriever(encoder, SHORT)
    model = NgramBertModel.from_pretrained(encoder).eval()
    ids = retriever.model.tokenizer("人们喜欢猫")["input_ids"]
    with torch.no_grad():
        mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
    assert retriever.encode(["人们喜欢猫"])[0] == pytest.approx(unit(mean), abs=1e-5)


def test_a_trained_retriever_keeps_its_settings_and_lowers_its_loss(encoder: Path, tmp_path: Path) -> None:
    training = RetrieverTraining(query="mean", epochs=12, batch_size=4, max_tokens=32, lr=5e-3)
    trained = train_retriever(str(encoder), tiny_rows(), tmp_path / "out", training)
    again = open_retriever(tmp_path / "out", RetrieverSettings("query"))
    assert again.settings.query == "mean"
    assert again.settings.fold == open_retriever(encoder, SHORT).settings.fold
    assert again.model.max_seq_length == 32
    losses = again.settings.training["losses"]
    assert losses[-1] < 0.8 * losses[0]  # 24 steps
    assert again.encode(["人们喜欢猫"]) == pytest.approx(trained.encode(["人们喜欢猫"]))
    with pytest.raises(DataError, match="no expansion for 1 of 1 query"):
        again.encode_queries({"q": "什么是猫？"})
    with pytest.raises(ConfigError, match="not empty"):
        train_retriever(str(encoder), tiny_rows(), tmp_path / "out", training)


def test_the_same_seed_trains_the_same_weights(encoder: Path, tmp_path: Path) -> None:
    training = RetrieverTraining(epochs=1, batch_size=4, max_tokens=32, lr=1e-3)
    for name in ("one", "two"):
        train_retriever(str(encoder), tiny_rows(), tmp_path / name, training)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_an_encoder_is_not_read_beyond_its_positions_and_a_folder_without_one_is_named(
    encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="at most 64 tokens"):
        open_retriever(encoder, RetrieverSettings(max_tokens=65))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_retriever(tmp_path)


def test_weights_in_a_pickle_are_refused(encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(encoder, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        open_retriever(folder)


# --- rows, negatives, cache, runs


def test_training_rows_are_joined_by_id_and_need_their_parts() -> None:
    queries, documents = {"q1": "甲？", "q2": "乙？", "q3": "丙？"}, {"a": "甲", "b": "乙", "c": "丙"}
    qrels = {"q3": {"c": 1}, "q2": {"b": 1, "c": 0}, "q1": {"a": 2, "b": 1}}
    negatives = {"q1": ("c",), "q2": ("a",), "q3": ()}
    rows = training_rows(queries, documents, qrels, negatives, "mean", {"q1": "甲甲", "q2": " "})
    assert rows == [TrainingRow("q1", "甲？", "甲", "丙", "甲甲"), TrainingRow("q1", "甲？", "乙", "丙", "甲甲")]
    with pytest.raises(DataError, match="not one of 3 queries has a relevant document and a hard negative"):
        training_rows(queries, documents, qrels, {}, "query")


def test_negatives_are_no_judged_documents_nor_copies_of_them() -> None:
    ranking = {"q": [("gold", 9.0), ("copy", 8.9), ("near", 8.0), ("graded0", 7.0), ("far", 1.0)]}
    texts = {"gold": "猫", "copy": "猫", "near": "狗", "graded0": "茶", "far": "雨"}
    qrels = {"q": {"gold": 1, "graded0": 0}}
    assert mine_negatives(ranking, qrels, texts, per_query=2) == {"q": ("near", "graded0")}
    assert mine_negatives(ranking, qrels, texts, skip=1) == {"q": ("graded0",)}
    assert mine_negatives(ranking, qrels, texts, per_query=9, margin=0.5) == {"q": ("far",)}


def test_the_query_itself_is_no_negative_and_no_skipped_one() -> None:
    ranking = {"q": [("q", 9.0), ("gold", 8.0), ("near", 7.0), ("far", 1.0)]}
    texts = {"q": "猫？", "gold": "猫", "near": "狗", "far": "雨"}
    assert mine_negatives(ranking, {"q": {"gold": 1}}, texts) == {"q": ("near",)}
    assert mine_negatives(ranking, {"q": {"gold": 1}}, texts, skip=1) == {"q": ("far",)}


@pytest.mark.parametrize(
    "other",
    [
        EmbeddingKey("other", "corpus", "mean", 32),
        EmbeddingKey("model", "other", "mean", 32),
        EmbeddingKey("model", "corpus", "cls", 32),
        EmbeddingKey("model", "corpus", "mean", 33),
        EmbeddingKey("model", "corpus", "mean", 32, "bfloat16"),
        EmbeddingKey("model", "corpus", "mean", 32, fold="nfkc"),
    ],
)
def test_whatever_shapes_a_vector_is_part_of_its_key(other: EmbeddingKey, tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.get(KEY, lambda: np.zeros((1, 2), np.float32))
    assert cache.get(other, lambda: np.ones((1, 2), np.float32)).tolist() == [[1.0, 1.0]]
    assert cache.get(KEY, lambda: pytest.fail("computed twice")).tolist() == [[0.0, 0.0]]


def test_vectors_that_were_cut_short_are_computed_again(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.get(KEY, lambda: np.zeros((9, 9), np.float32))
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:200])
    assert cache.get(KEY, lambda: np.ones((1, 1), np.float32)).tolist() == [[1.0]]


def test_a_corpus_is_known_by_its_texts_ids_and_order_and_a_model_by_its_contents(encoder: Path) -> None:
    texts = {"a": "猫", "b": "狗"}
    prints = {
        texts_fingerprint(variant)
        for variant in (texts, dict(reversed(texts.items())), texts | {"b": "茶"}, {"a": "猫", "c": "狗"})
    }
    assert len(prints) == 4
    assert model_fingerprint(encoder) == model_fingerprint(encoder)


def test_a_dense_run_is_exact_and_comes_from_the_cache_the_second_time(
    retrieval_set: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    retriever = open_retriever(encoder, SHORT)
    run = dense_run(data, retriever, 5, cache=EmbeddingCache(tmp_path))
    documents = retriever.encode(list(data.documents.values()))
    scores = documents @ retriever.encode([data.queries["q0-0"]])[0]
    assert list(run["q0-0"]) == [list(data.documents)[place] for place in np.argsort(-scores)[:5]]
    encoded: list[int] = []
    encode = retriever.encode
    monkeypatch.setattr(retriever, "encode", lambda texts: (encoded.append(len(texts)), encode(texts))[1])
    assert dense_run(data, retriever, 5, cache=EmbeddingCache(tmp_path)) == run
    assert encoded == [8]  # the queries alone


def test_exact_runs_keep_ids_with_their_rows() -> None:
    documents = unit(np.random.default_rng(2).normal(size=(30, 4)))
    ids = [f"d{n}" for n in range(30)]
    run = exact_run(["q"], documents[7:8], ids, documents, k=3)
    assert next(iter(run["q"])) == "d7"
    assert len(run["q"]) == 3


def test_the_query_itself_is_no_result_and_costs_no_place() -> None:
    documents = unit(np.random.default_rng(2).normal(size=(30, 4)))
    ids = [f"d{n}" for n in range(30)]
    whole = exact_run(["q"], documents[7:8], ids, documents, k=4)
    assert list(exact_run(["d7"], documents[7:8], ids, documents, k=3)["d7"]) == list(whole["q"])[1:]
    assert len(exact_run(["d7"], documents[7:8], ids, documents, k=30)["d7"]) == 29


def test_no_system_finds_the_query_itself(retrieval_set: Path, encoder: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    asked = {"q0-0": "猫是常见的东西，人们喜欢猫。"}
    own = dataclasses.replace(data, queries=asked, documents={**data.documents, **asked})
    keywords, vectors = bm25_run(own, 3), dense_run(own, open_retriever(encoder, SHORT), 3)
    for run in (keywords, vectors, hybrid_run([keywords, vectors], 3)):
        assert len(run["q0-0"]) == 3
        assert "q0-0" not in run["q0-0"]


def test_keywords_and_vectors_are_fused_by_rank(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    keywords = bm25_run(data, 100)
    assert max(keywords["q0-0"], key=keywords["q0-0"].__getitem__) == "d0"
    fused = hybrid_run([{"q": {"a": 9.0, "b": 1.0}}, {"q": {"b": 0.3, "c": 0.2}}], 10)
    assert fused["q"] == pytest.approx({"b": 1 / 62 + 1 / 61, "a": 1 / 61, "c": 1 / 62})
