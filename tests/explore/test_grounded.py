"""Grounded decoding against the law `is_grounded`, and the automaton against every string there is."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import seeds, tiny_size
from transformers import GPT2Config, GPT2LMHeadModel

from toxitrace.errors import ModelError
from toxitrace.explore import GenerateSettings, GroundSettings, SeedItem
from toxitrace.explore.generate import LocalGenerator
from toxitrace.explore.grounded import GroundedLogits
from toxitrace.explore.grounding import GroundedReplies, is_grounded
from toxitrace.explore.language_model import LanguageModel
from toxitrace.explore.prompts import clean
from toxitrace.explore.small_lm import new_small_lm
from toxitrace.explore.vocabulary import TokenTrie, token_bytes


@cache
def tiny() -> LanguageModel:
    return new_small_lm([seed.text for seed in seeds()] + ["a b c"], tiny_size(max_positions=512))


# characters of one, two, three and four bytes, known and unknown to the tokenizer, and blanks
ITEM_TEXTS = st.text("你真是笨蛋骗 ,a鑫é😀", min_size=1, max_size=12).map(clean).filter(bool)


@settings(max_examples=30)
@given(
    st.lists(ITEM_TEXTS, min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 10_000),
    st.sampled_from(["sample", "beam", "greedy"]),
)
def test_any_output_obeys(texts: list[str], n_pieces: int, n_queries: int, seed: int, mode: Any) -> None:
    ground = GroundSettings(max_pieces=n_pieces, max_queries=n_queries, max_query_chars=8)
    maker = LocalGenerator(
        tiny(),
        GenerateSettings(mode=mode, n_replies=1 if mode == "greedy" else 3, seed=seed, ground=ground, temperature=3.0),
    )
    group = [SeedItem(str(n), text) for n, text in enumerate(texts)]
    prompt = tiny().prompt_ids("".join(texts))
    (written,) = maker._generate([prompt], [group], 0)
    finished = [reply.rstrip("\ufffd") for reply in written]
    if mode == "beam":  # where fewer replies exist than beams, search fills its places with others
        finished = finished[:1]
    for reply in finished:
        queries = [clean(query) for query in reply.split("\n")]
        assert len(queries) <= n_queries
        assert queries[0]
        for query in queries[: len(queries) if queries[-1] else -1]:
            assert is_grounded(query, texts, n_pieces)
            assert len(query) <= 8


@settings(max_examples=40)
@given(
    st.lists(st.text("ab ", min_size=1, max_size=4).map(clean).filter(bool), min_size=1, max_size=2),
    st.integers(1, 2),
    st.integers(1, 2),
)
def test_the_automaton_accepts_exactly_the_grounded_replies(texts: list[str], n_pieces: int, n_queries: int) -> None:
    trie = TokenTrie({byte: bytes([byte]) for byte in range(256)})
    limits = GroundSettings(max_pieces=n_pieces, max_queries=n_queries, max_query_chars=3, min_query_chars=1)
    replies = GroundedReplies(texts, limits, trie)
    for length in range(1, 5):
        for chars in product("ab \n", repeat=length):
            reply = "".join(chars)
            queries = reply.split("\n")
            tidy = all(query == clean(query) for query in queries)
            if not tidy:
                continue  # blanks at the ends or doubled: cleaning takes them away, either answer is right
            expected = (
                len(queries) <= n_queries
                and all(len(query) <= 3 for query in queries)
                and all(is_grounded(query, texts, n_pieces) for query in queries)
            )
            state = replies.after(replies.start, reply.encode())
            assert (state is not None and replies.allowed(state)[1]) == expected, reply


def test_the_law_takes_the_fewest_stretches() -> None:
    texts = ["you are a fool", "大 笨蛋"]
    assert is_grounded("you are", texts, 1)  # one stretch with its own blank
    assert is_grounded("are a 笨蛋", texts, 2)
    assert not is_grounded("are a 笨蛋", texts, 1)
    assert not is_grounded("你", texts, 3)
    assert not is_grounded("", texts, 3)
    assert not is_grounded("fool大", texts, 1)  # not across items


def test_a_token_may_cross_the_border_between_two_stretches() -> None:
    vocab = {0: "笨蛋 骗".encode(), 1: "子".encode(), 2: "蛋骗".encode()}
    replies = GroundedReplies(["笨蛋和骗子"], GroundSettings(), TokenTrie(vocab))
    assert replies.allowed(replies.start)[0] == (0, 1)
    state = replies.after(replies.start, vocab[0])
    assert state is not None
    assert replies.allowed(state) == ((1,), True)
    one_piece = GroundedReplies(["笨蛋和骗子"], GroundSettings(max_pieces=1), TokenTrie(vocab))
    assert one_piece.allowed(one_piece.start)[0] == (1,)


def test_an_item_of_one_character_may_have_a_shorter_query_and_an_empty_one_none() -> None:
    trie = TokenTrie(token_bytes(tiny().tokenizer))
    one = GroundedReplies(["笨"], GroundSettings(max_pieces=1), trie)
    state = one.after(one.start, "笨".encode())
    assert state is not None
    assert one.allowed(state) == ((), True)
    empty = GroundedReplies([""], GroundSettings(), trie)
    assert empty.allowed(empty.start) == ((), True)


def test_masked_tokens_have_no_probability_and_ended_rows_only_their_end() -> None:
    spelt = token_bytes(tiny().tokenizer)
    replies = [GroundedReplies([text], GroundSettings(), TokenTrie(spelt)) for text in ("笨蛋", "骗子")]
    process = GroundedLogits(replies, spelt, {1}, prompt_tokens=1)
    first: Any = process(torch.tensor([[0], [0]]), torch.zeros(2, 1000))
    allowed = [tiny().tokenizer.decode(row.isfinite().nonzero().flatten()) for row in first]
    # and, as U+FFFD, the bytes that these characters begin with: a character may be spelt
    assert [set(text) - {"\ufffd"} for text in allowed] == [set("笨蛋"), set("骗子")]
    ended: Any = process(torch.tensor([[0, 1], [0, 1]]), torch.zeros(2, 1000))
    assert ended.isfinite().nonzero()[:, 1].tolist() == [1, 1]


def test_other_tokenizers_than_byte_level_ones_are_refused() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, "a")), eos_token="a", pad_token="a")
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(ModelError, match="byte-level"):
        LocalGenerator(LanguageModel(model, words), GenerateSettings(ground=GroundSettings()))
