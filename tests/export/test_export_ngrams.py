"""The n-gram table in a graph against the one in the encoder."""

import torch

from toxitrace.encoder.ngrams import NgramBertConfig, NgramEmbedding
from toxitrace.export.ngrams import LookedUpNgrams


def test_looked_up_hashes_give_the_vectors_of_computed_ones() -> None:
    torch.manual_seed(0)
    embedding = NgramEmbedding(NgramBertConfig(vocab_size=8000, hidden_size=8, ngram_buckets=24571))
    torch.nn.init.normal_(embedding.ngrams.weight)
    input_ids = torch.randint(0, 8000, (4, 60))
    torch.testing.assert_close(LookedUpNgrams(embedding)(input_ids), embedding.ngrams(input_ids), rtol=0, atol=0)


def test_no_number_on_the_way_is_lost_in_single_precision() -> None:
    looked_up = LookedUpNgrams(NgramEmbedding(NgramBertConfig(vocab_size=8000, hidden_size=8, ngram_buckets=24571)))
    assert all(3 * int(table.max()) < 2**24 for table in looked_up.buffers())
