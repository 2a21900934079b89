"""LLM-QE: expansions of queries, rewarded by rank, preferred, trained on; dense retrieval with them (arXiv 2502.17057).

What needs torch, sentence-transformers, trl or peft is in modules of its own, imported by name: ``local_lm``,
``contrastive_loss``, ``dpo``.
"""

from toxitrace.expand.answers import read_answers, write_answers
from toxitrace.expand.asking import AskConfig, LocalAsker, ServiceAsker, open_asker
from toxitrace.expand.beir import RetrievalSet, read_retrieval_set
from toxitrace.expand.candidates import Sampling, first_expansions, read_candidates, write_candidates
from toxitrace.expand.embeddings import EmbeddingCache, EmbeddingKey
from toxitrace.expand.mining import mine_negatives
from toxitrace.expand.preamble import strip_preamble
from toxitrace.expand.preferences import Preference, choose_pair, split_by_group
from toxitrace.expand.represent import QueryMode, query_vectors, unit
from toxitrace.expand.retriever import Retriever, exact_run, open_retriever
from toxitrace.expand.retriever_settings import RetrieverSettings
from toxitrace.expand.reward_rows import RewardRow, preference_pairs, reward_rows
from toxitrace.expand.rewards import ExpansionRewards, competition_ranks, expansion_rewards, joint_rewards
from toxitrace.expand.train_retriever import RetrieverTraining, TrainingRow, train_retriever, training_rows

__all__ = [
    "AskConfig",
    "EmbeddingCache",
    "EmbeddingKey",
    "ExpansionRewards",
    "LocalAsker",
    "Preference",
    "QueryMode",
    "RetrievalSet",
    "Retriever",
    "RetrieverSettings",
    "RetrieverTraining",
    "RewardRow",
    "Sampling",
    "ServiceAsker",
    "TrainingRow",
    "choose_pair",
    "competition_ranks",
    "exact_run",
    "expansion_rewards",
    "first_expansions",
    "joint_rewards",
    "mine_negatives",
    "open_asker",
    "open_retriever",
    "preference_pairs",
    "query_vectors",
    "read_answers",
    "read_candidates",
    "read_retrieval_set",
    "reward_rows",
    "split_by_group",
    "strip_preamble",
    "train_retriever",
    "training_rows",
    "unit",
    "write_answers",
    "write_candidates",
]
