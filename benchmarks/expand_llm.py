"""What a small language model can do as a writer of expansions, before DPO and after it (LLM-QE on CMRC 2018).

    python benchmarks/expand_llm.py                                          # goes on where it was stopped
    python benchmarks/expand_llm.py --smoke --work /tmp/w --output /tmp/expand_llm.json      # minutes, no figures

The model is the project's own: one token per character, pre-trained here on plain text of the corpus and the passages
of split train, fine-tuned on question -> expansion (recorded expansions of an LLM, benchmarks/data, and for some
questions the part of the passage that holds the answer), then `toxitrace expand`: candidates, rewards by the zero-shot
encoder and recorded answers, pairs, DPO. Questions of a fifth of the passages ("held") are in none of these trainings:
on them the candidates of both models are ranked together. Questions of split dev are searched for as they are, and as
the mean with an expansion: of the model before DPO, after it, and of the LLM. Their passages are in none of the
language model's trainings.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from expand_cmrc import DATA, DEPTH, WORK, noted, say
from expand_cmrc_table import table_rows
from expand_cmrc_windows import best_windows, window_set
from machine import RESULTS, machine, require_shared

from toxitrace.cli.quiet import quiet_training
from toxitrace.config import Paths
from toxitrace.data.lines import iter_lines
from toxitrace.data.rowfile import read_rows, write_json, write_rows
from toxitrace.evaluation.ranking import RankingScores, compare_runs, score_ranking
from toxitrace.expand import tasks
from toxitrace.expand.asking import AskConfig
from toxitrace.expand.beir import RetrievalSet, read_retrieval_set
from toxitrace.expand.candidates import Sampling, read_candidates
from toxitrace.expand.config import (
    AnswersConfig,
    CandidatesConfig,
    DPOTraining,
    PreferencesConfig,
    RewardsConfig,
    TrainDPOConfig,
)
from toxitrace.expand.embeddings import EmbeddingCache
from toxitrace.expand.preferences import split_by_group
from toxitrace.expand.prompts import expansion_request, plain_prompt
from toxitrace.expand.report import Comparison, compare_all
from toxitrace.expand.represent import query_vectors
from toxitrace.expand.retriever import Retriever, exact_run, open_retriever
from toxitrace.expand.retriever_settings import RetrieverSettings
from toxitrace.expand.reward_rows import read_reward_rows
from toxitrace.expand.rewards import expansion_rewards
from toxitrace.expand.systems import bm25_run, expansions_for
from toxitrace.explore.config import PretrainLMSettings, SFTSettings, SmallLMSize
from toxitrace.explore.language_model import load_language_model
from toxitrace.explore.sft import train_sft
from toxitrace.explore.tasks.train import pretrain
from toxitrace.explore.tasks.train_config import PretrainTask
from toxitrace.explore.training_rows import Demonstration

PLAIN_TEXTS = ("xwlb", "zhihu_hot", "lctt")
"""Parts of the corpus in written language, as passages are."""


def main() -> None:
    args = _arguments()
    quiet_training()
    zero_shot = open_retriever(args.encoder, RetrieverSettings(max_tokens=args.max_tokens))
    args.retriever = args.retriever or str(WORK / zero_shot.fingerprint / "query-1")
    rewarded = args.work / zero_shot.fingerprint  # all that follows from the rewards: another encoder gives its own
    folder = _parted(args)
    fit, held, dev = (read_retrieval_set(folder, split) for split in ("fit", "held", "dev"))
    base = pretrain(_pretraining(args, fit), say)
    sft = _tuned(args, base, fit)
    dpo, gate = _preferred(args, rewarded, folder, sft)
    if args.until == "dpo":
        return
    rewards = _held_rewards(args, folder, held, {"SFT": sft, "DPO": dpo})
    expansions = {"LLM (recorded)": _recorded("dev")}
    for name, lm in {"SFT": sft, "DPO": dpo}.items():
        output = lm.parent / f"expansions-dev-{name.lower()}.jsonl"
        _written(args, folder, "dev", lm, output, Sampling((0.8,), 1, args.max_new_tokens), None)
        expansions[f"small LM, {name}"] = {id: texts[0] for id, texts in read_candidates(output).items()}
    texts = {
        name: expansions_for(dev, {id: (text,) for id, text in found.items()}, name)
        for name, found in expansions.items()
    }
    written = {name: found for name, (found, _) in texts.items()}
    result: dict[str, Any] = {
        "part": "cmrc/dev",
        "settings": noted(args),
        "gate": gate,
        "held_rewards": rewards,
        "copied_share": {name: _copied(dev, found) for name, found in written.items()},
        "answer_share": {name: _holding(dev, found) for name, found in written.items()},
        "n_blank": {name: n_blank for name, (_, n_blank) in texts.items()},
        "systems": {},
        "machine": machine(),
    }
    lines = _head(args, dev, fit, held, result)
    for kind, (scores, tests) in _judged(args, zero_shot, dev, written).items():
        result["systems"][kind] = {
            "means": {name: one.to_dict()["means"] for name, one in scores.items()},
            "comparisons": [test.to_dict() for test in tests],
        }
        lines += ["", f"## {kind}", "", *table_rows(scores, tests)]
    write_json(args.output, result)
    args.output.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _parted(args: argparse.Namespace) -> Path:
    """The set anew with split train in two, by passage: fit is trained on, held is not."""
    source, folder = require_shared() / "retrieval" / "cmrc", Path(args.work) / "data"
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).exists():
            (folder / name).symlink_to(source / name)
    judged = {split: read_retrieval_set(source, split).qrels for split in ("train", "dev")}
    groups = [(id, next(iter(graded))) for id, graded in judged["train"].items()]
    fit, held = split_by_group(groups, args.held_share, seed=0)
    parts = {"fit": (fit, judged["train"]), "held": (held, judged["train"]), "dev": (set(judged["dev"]), judged["dev"])}
    for split, (ids, qrels) in parts.items():
        rows = [f"{id}\t{document}\t{grade}" for id in qrels if id in ids for document, grade in qrels[id].items()]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _pretraining(args: argparse.Namespace, fit: RetrievalSet) -> PretrainTask:
    """Plain text for the project's own pre-training: passages of fit (several times) among lines of the corpus."""
    output = args.work / "texts.jsonl"
    if not output.exists():
        corpus = require_shared() / "corpus"
        passages = {document for graded in fit.qrels.values() for document in graded}
        texts = [fit.documents[id] for id in sorted(passages)] * args.passage_repeats
        for name in PLAIN_TEXTS:
            lines = [line.strip() for _, line in iter_lines(corpus / f"{name}.txt.xz")]
            long = [line for line in lines if len(line) >= 40]
            texts += random.Random(name).sample(long, min(args.corpus_lines, len(long)))
        random.Random(0).shuffle(texts)
        write_rows(output, ({"id": str(number), "text": text} for number, text in enumerate(texts)))
    return PretrainTask(
        texts=Paths((str(output),)),
        output=str(args.work / "lm-base"),
        size=SmallLMSize(
            layers=args.layers,
            hidden=args.hidden,
            heads=args.hidden // 64,
            feed_forward=args.hidden * 8 // 3 // 8 * 8,
            max_positions=512,
            vocab_size=args.vocab_size,
            min_count=3,
        ),
        fit=PretrainLMSettings(max_steps=args.pretrain_steps, checkpoint_steps=50, log_steps=20, cpu=True),
        resume=True,
    )


def _tuned(args: argparse.Namespace, base: Path, fit: RetrievalSet) -> Path:
    """SFT: recorded expansions, and for some questions the window of the passage that holds the answer."""
    output: Path = args.work / "lm-sft"
    if (output / "explore.json").is_file():
        return output
    recorded, windows = _recorded("train"), window_set(fit, args.window_chars)
    pairs = [(id, recorded[id]) for id in fit.queries if id in recorded]
    ids = random.Random(0).sample(sorted(windows.queries), min(args.sft_windows, len(windows.queries)))
    say(f"SFT on {len(pairs)} recorded expansions and {len(ids)} passage windows")
    pairs += [(id, windows.documents[next(iter(windows.qrels[id]))]) for id in ids]
    rows = [Demonstration(_prompt(fit.queries[id]), text, (id,), "compact") for id, text in pairs]
    settings = SFTSettings(
        lr=5e-4, epochs=args.sft_epochs, max_tokens=256, checkpoint_steps=50, lora=None, cpu=True
    )  # the rate of configs/explore-sft.yaml
    train_sft(rows, load_language_model(base), output, settings, resume=True, on_log=_told)
    return output


def _preferred(args: argparse.Namespace, rewarded: Path, folder: Path, sft: Path) -> tuple[Path, dict[str, Any]]:
    """Candidates -> rewards -> pairs -> DPO on fit; the gate's story beside the model.

    Args:
        rewarded: folder of the rewards and all that follows from them.
    """
    candidates, answers = (args.work / f"{name}-fit.jsonl" for name in ("candidates", "answers"))
    rewards, pairs, output = (rewarded / name for name in ("rewards-fit.jsonl", "pairs.jsonl", "lm-dpo"))
    _written(args, folder, "fit", sft, candidates, _sampling(args), args.fit_queries)
    if not (output / "explore.json").is_file():
        tasks.answers(AnswersConfig(data=str(folder), split="fit", output=str(answers), recorded=True))
        reward = RewardsConfig(
            data=str(folder), split="fit", candidates=str(candidates), answers=str(answers), retriever=args.encoder,
            output=str(rewards), gate=args.gate,
        )  # fmt: skip
        tasks.rewards(reward, say)
        tasks.preferences(PreferencesConfig(str(candidates), str(rewards), str(pairs), dev_share=0.0, lm=str(sft)), say)
        training = DPOTraining(lr=2e-4, epochs=args.dpo_epochs, max_tokens=512, cpu=True)  # of configs/expand-cmrc.yaml
        tasks.dpo(TrainDPOConfig(str(pairs), str(sft), str(output), training, resume=True), say)
    rows = read_reward_rows(rewards)
    similarities = sorted(row.best_similarity for row in rows.values())
    gate = {
        "gate": args.gate,
        "n_queries": len(rows),
        "n_kept": sum(row.kept for row in rows.values()),
        "n_pairs": len(read_rows(pairs)),
        "best_similarity": [round(similarities[int(q * (len(rows) - 1))], 3) for q in (0, 0.5, 1)],
    }
    return output, gate


def _written(
    args: argparse.Namespace, folder: Path, split: str, lm: Path, output: Path, sampling: Sampling, limit: int | None
) -> None:
    """Candidates of a local model, resumable."""
    task = CandidatesConfig(
        data=str(folder), split=split, output=str(output), limit=limit, sampling=sampling,
        ask=AskConfig(llm=f"local:{lm}"), resume=output.exists(),
    )  # fmt: skip
    report = tasks.candidates(task)
    tasks.require_rows(report, str(output))
    say(f"{output}: {report.n_rows} queries, {report.n_without_text} of them without a text")


def _held_rewards(
    args: argparse.Namespace, folder: Path, held: RetrievalSet, lms: Mapping[str, Path]
) -> dict[str, Any]:
    """Candidates of the models for questions that neither was trained on, ranked together: rewards and similarities."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, lm in lms.items():
        output = lm.parent / f"candidates-held-{name.lower()}.jsonl"
        _written(args, folder, "held", lm, output, _sampling(args), args.held_queries)
        found[name] = {
            id: tuple(text for text in texts if text.strip()) for id, texts in read_candidates(output).items()
        }
    encode = open_retriever(args.encoder, RetrieverSettings()).encode
    per_query: dict[str, dict[str, dict[str, float]]] = {
        name: {"reward": {}, "s_rank": {}, "s_ans": {}} for name in lms
    }
    for id in [id for id in found["SFT"] if id in held.answers and all(one[id] for one in found.values())]:
        drawn = [(name, text) for name, one in found.items() for text in one[id]]
        vectors = encode([held.documents[str(held.gold(id))], held.answers[id], *(text for _, text in drawn)])
        s_rank, s_ans = (vectors[2:] @ vectors[place] for place in (0, 1))
        worth = expansion_rewards(s_rank.tolist(), s_ans.tolist(), args.gate)
        for measure, values in {"reward": worth.rewards, "s_rank": s_rank.tolist(), "s_ans": s_ans.tolist()}.items():
            for name in lms:
                per_query[name][measure][id] = fmean(
                    value for (who, _), value in zip(drawn, values, strict=True) if who == name
                )
    scores = {name: RankingScores(values) for name, values in per_query.items()}
    tests = [compare_runs(scores["DPO"], scores["SFT"], measure) for measure in ("reward", "s_rank", "s_ans")]
    return {
        "n_queries": scores["SFT"].n_queries,
        "means": {name: {m: round(one.mean(m), 4) for m in one.per_query} for name, one in scores.items()},
        "dpo_minus_sft": [test.to_dict() for test in tests],
    }


def _judged(
    args: argparse.Namespace, zero_shot: Retriever, dev: RetrievalSet, expansions: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[dict[str, RankingScores], list[Comparison]]]:
    """Every searcher with every expansion, on windows and on passages by their best window."""
    windows = window_set(dev, args.window_chars)
    searchers: dict[str, Retriever | None] = {"BM25": None, "dense zero-shot": zero_shot}
    if Path(args.retriever).is_dir():
        searchers["dense trained"] = open_retriever(args.retriever)
    cache = EmbeddingCache(args.cache)
    found: dict[str, tuple[dict[str, RankingScores], list[Comparison]]] = {"windows": ({}, []), "passages": ({}, [])}
    for searcher, retriever in searchers.items():
        names = {source: f"{searcher}, {source}" for source in ("query", *expansions)}
        for source, name in names.items():
            texts = None if source == "query" else expansions[source]
            if retriever is None:
                run = bm25_run(windows, DEPTH, texts)
            else:
                asked = retriever.encode(list(windows.queries.values()))
                written = None if texts is None else retriever.encode([texts[id] for id in windows.queries])
                vectors = query_vectors(asked, written, "query" if written is None else "mean")
                documents = retriever.encode_documents(windows.documents, cache)
                run = exact_run(windows.queries, vectors, list(windows.documents), documents, DEPTH)
            found["windows"][0][name] = score_ranking(windows.qrels, run)
            found["passages"][0][name] = score_ranking({id: dev.qrels[id] for id in windows.queries}, best_windows(run))
            say(f"{name}: searched")
        for scores, tests in found.values():
            of_searcher = {name: scores[name] for name in names.values()}
            tests += compare_all(of_searcher, {names["query"]: scores[names["query"]]})
            before, after = names["small LM, SFT"], names["small LM, DPO"]
            tests += compare_all({after: scores[after]}, {before: scores[before]})
    return found


def _head(
    args: argparse.Namespace, dev: RetrievalSet, fit: RetrievalSet, held: RetrievalSet, result: Mapping[str, Any]
) -> list[str]:
    gate, rewards = result["gate"], result["held_rewards"]
    means = rewards["means"]
    lines = [
        f"CMRC 2018, split dev: {len(dev.queries)} questions. A causal LM of {args.layers} layers x {args.hidden}, "
        f"{args.pretrain_steps} pre-training steps of 2,048 tokens, SFT, then DPO on {gate['n_pairs']} pairs; its "
        f"trainings use {len(fit.queries)} questions of split train, {len(held.queries)} others are held out."
        + (" **Smoke run: no figures.**" if args.smoke else ""),
        "",
        f"Gate {gate['gate']}: {gate['n_kept']} of {gate['n_queries']} queries pass it; best similarity (least, "
        f"median, greatest): {', '.join(map(str, gate['best_similarity']))}.",
        "",
        f"Candidates for {rewards['n_queries']} held-out questions, both models' ranked together "
        "(means over questions; p of the paired test of DPO against SFT):",
        "",
        "| | SFT | DPO | p |",
        "|---|---|---|---|",
    ]
    for test in rewards["dpo_minus_sft"]:
        name = test["measure"]
        lines.append(f"| {name} | {means['SFT'][name]:.3f} | {means['DPO'][name]:.3f} | {test['p_value']:.4f} |")
    copied, holding = (
        ", ".join(f"{name} {100 * share:.0f} %" for name, share in result[key].items())
        for key in ("copied_share", "answer_share")
    )
    return [
        *lines,
        "",
        f"Share of the question's character pairs that its expansion repeats: {copied}. Share of expansions that hold "
        f"the recorded answer to the letter: {holding}.",
        "",
        "Differences are of nDCG@10, in points, to the same searcher with the query alone (95 % bootstrap interval), p "
        "of the paired randomisation test (10,000 draws). Rows `after - before` compare DPO with SFT.",
    ]


def _copied(dev: RetrievalSet, expansions: Mapping[str, str]) -> float:
    """Mean share of a question's character pairs that stand in its expansion."""
    shares = []
    for id, query in dev.queries.items():
        pairs = [query[place : place + 2] for place in range(len(query) - 1)]
        shares.append(fmean(pair in expansions[id] for pair in pairs) if pairs else 0.0)
    return fmean(shares)


def _holding(dev: RetrievalSet, expansions: Mapping[str, str]) -> float:
    """Share of expansions in which the recorded answer stands."""
    return fmean(answer in expansions[id] for id, answer in dev.answers.items())


def _sampling(args: argparse.Namespace) -> Sampling:
    return Sampling(samples=args.samples, max_new_tokens=args.max_new_tokens)


def _prompt(query: str) -> str:
    return plain_prompt(expansion_request(query, temperature=1.0, seed=0))


def _recorded(split: str) -> dict[str, str]:
    return {id: str(row["expansion"]) for id, row in read_rows(DATA / f"cmrc-expansions-{split}.jsonl").items()}


def _told(log: Mapping[str, float]) -> None:
    if "loss" in log:
        say(f"step {log['step']:.0f}/{log['n_steps']:.0f}: loss {log['loss']:.4f}")


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="runs/pretrain-small", help="zero-shot encoder: gives rewards")
    parser.add_argument("--retriever", help="trained one, if it is there; default: seed 1 of expand_cmrc.py's")
    parser.add_argument("--cache", default=str(WORK / "vectors"), help="vectors of the windows")
    parser.add_argument("--work", type=Path, default=Path("runs/expand-llm"), help="folder of every stage's output")
    parser.add_argument("--until", choices=["dpo", "end"], default="end", help="stop after this stage")
    parser.add_argument("--held-share", type=float, default=0.2, help="of the passages of split train")
    parser.add_argument("--corpus-lines", type=int, default=6000, help="from each part of the corpus, at most")
    parser.add_argument("--passage-repeats", type=int, default=2, help="passages of fit in pre-training")
    parser.add_argument("--pretrain-steps", type=int, default=400)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--vocab-size", type=int, default=5000)
    parser.add_argument("--sft-epochs", type=float, default=1.0)
    parser.add_argument("--sft-windows", type=int, default=500, help="questions with a part of their passage")
    parser.add_argument("--fit-queries", type=int, default=96, help="with candidates for DPO")
    parser.add_argument("--held-queries", type=int, default=40, help="with candidates before and after")
    parser.add_argument("--samples", type=int, default=4, help="per temperature, of which there are four")
    parser.add_argument("--max-new-tokens", type=int, default=40)
    parser.add_argument("--gate", type=float, default=0.6)
    parser.add_argument("--dpo-epochs", type=float, default=2.0)
    parser.add_argument("--window-chars", type=int, default=128, help="as in expand_cmrc.py")
    parser.add_argument("--max-tokens", type=int, default=128, help="as in expand_cmrc.py")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: whether it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "expand_llm.json", help="JSON; a table goes beside it")
    args = parser.parse_args(given)
    if args.smoke:
        args.corpus_lines, args.pretrain_steps, args.sft_epochs, args.layers, args.hidden = 200, 4, 0.02, 1, 64
        args.fit_queries, args.held_queries, args.samples, args.max_new_tokens, args.dpo_epochs = 8, 4, 1, 6, 1.0
        args.max_tokens = 16
    return args


if __name__ == "__main__":
    main()
