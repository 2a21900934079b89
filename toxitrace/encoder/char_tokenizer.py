"""A tokenizer made from the training text: one token per Han character, whole entries for frequent Latin words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from toxitrace.settings import FoldOptions
from toxitrace.text.fold import fold

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# A run of Latin letters is one word (internet slang such as abbreviations stays whole); everything else that shows,
# digits and emoji included, stands alone. White space separates and is no token.
_PIECES = Regex(r"[a-z]+|\s+|[^\sa-z]")
_LATIN_WORD = re.compile(r"[a-z]{2,}")


def build_char_tokenizer(
    texts: Iterable[str], vocab_size: int, min_count: int = 5, options: FoldOptions | None = None
) -> Tokenizer:
    """Build a WordPiece tokenizer whose alphabet is the text's own characters.

    Args:
        texts: raw texts, read once.
        vocab_size: most entries, special tokens included; characters come first, Latin words fill what is left.
        min_count: characters seen fewer times become [UNK].
        options: the folding that texts will have been through when they are tokenised.

    Returns:
        A `tokenizers` tokenizer in BERT's convention ([CLS] text [SEP]), offsets in code points.

    >>> tokenizer = build_char_tokenizer(["你真是个笨蛋", "真是个好人"], vocab_size=100, min_count=1)
    >>> tokenizer.encode("真笨").tokens
    ['[CLS]', '真', '笨', '[SEP]']
    """
    raw_chars: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for text in texts:
        raw_chars.update(text)
        words.update(_LATIN_WORD.findall(text.lower()))
    chars: Counter[str] = Counter()
    for raw, count in raw_chars.items():  # folding the alphabet, not the corpus: the counts are the same
        for char in fold(raw, options).text.lower():
            chars[char] += count
    kept = [
        char
        for char, count in sorted(chars.items(), key=_by_count)
        if count >= min_count and not char.isspace() and not "\ud800" <= char <= "\udfff"
    ]
    latin = [char for char in kept if "a" <= char <= "z"]
    others = [char for char in kept if not "a" <= char <= "z"]
    room = max(vocab_size - len(SPECIAL_TOKENS) - 2 * len(latin), 0)
    # whole words by count, not learnt merges: the library's trainer gives other pieces in every run (hash order)
    frequent = [word for word, count in sorted(words.items(), key=_by_count) if count >= min_count]
    pieces = [*latin, *(f"##{char}" for char in latin), *others[:room], *frequent]
    entries = [*SPECIAL_TOKENS, *pieces[: max(vocab_size - len(SPECIAL_TOKENS), 0)]]
    vocab = {token: index for index, token in enumerate(entries)}
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=64))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(_PIECES, "isolated")]
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    """Frequent ones first, ties by code point: the same order in every run."""
    return -item[1], item[0]
