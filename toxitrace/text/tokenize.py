"""Texts to token ids whose offsets point into the caller's untouched strings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from toxitrace.errors import ModelError
from toxitrace.settings import FoldOptions
from toxitrace.text.fold import FoldedText, fold

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedText:
    """The tokens of one text, without [CLS] and [SEP] and however long it is.

    Attributes:
        token_ids: (T,) int64.
        starts: (T,) int64, first code point of each token in the caller's string.
        ends: (T,) int64, code point after its last.
        n_chars: length of the caller's string in code points.
    """

    token_ids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    n_chars: int


class TextTokenizer:
    """A ``tokenizers`` tokenizer behind folding.

    Attributes:
        raw: the tokenizer itself; its truncation and padding are off.
        fold: how texts are folded before they reach it.
        cls_id, sep_id, pad_id, unk_id: ids of the special tokens of BERT.
        mask_id: id of [MASK], or None if the vocabulary has none.
        vocab_size: number of ids, added tokens included.
    """

    def __init__(self, tokenizer: Tokenizer, fold: FoldOptions) -> None:
        """Take over ``tokenizer``.

        Raises:
            ModelError: the vocabulary lacks [CLS], [SEP], [PAD] or [UNK].
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # A user who types "[CLS]" means six characters.
        tokenizer.encode_special_tokens = True
        self.raw = tokenizer
        self.fold = fold
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        missing = [name for name in ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if name not in vocabulary]
        if missing:
            raise ModelError(
                f"the tokenizer has no {', '.join(missing)}; expected a vocabulary in BERT's layout "
                "with [CLS], [SEP], [PAD] and [UNK]"
            )
        self.cls_id: int = vocabulary["[CLS]"]
        self.sep_id: int = vocabulary["[SEP]"]
        self.pad_id: int = vocabulary["[PAD]"]
        self.unk_id: int = vocabulary["[UNK]"]
        self.mask_id: int | None = vocabulary.get("[MASK]")
        self.vocab_size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        reserved = (self.cls_id, self.sep_id, self.pad_id, self.mask_id)
        self._reserved_ids = np.array([token_id for token_id in reserved if token_id is not None])

    @classmethod
    def load(cls, folder: str | os.PathLike[str], fold: FoldOptions) -> TextTokenizer:
        """Read ``tokenizer.json`` from a model or export folder.

        Raises:
            ModelError: the file is missing, unreadable, or no tokenizer in BERT's layout.
        """
        path = Path(folder) / TOKENIZER_FILE
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(
                f"{folder} has no {TOKENIZER_FILE}; "
                "point to a folder that `toxitrace train` or `toxitrace export` wrote"
            ) from None
        except Exception as error:  # tokenizers raises bare Exception for a broken file
            raise ModelError(f"{path} cannot be read: {error}; train or export the model again") from error
        try:
            return cls(tokenizer, fold)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenise texts; no special tokens are added and nothing is cut off."""
        folded = [fold(text, self.fold) for text in texts]
        encodings = self.raw.encode_batch([one.text for one in folded], add_special_tokens=False)
        return [
            self._in_raw_text(encoding.ids, encoding.offsets, one, len(text))
            for encoding, one, text in zip(encodings, folded, texts, strict=True)
        ]

    def _in_raw_text(
        self, ids: list[int], offsets: list[tuple[int, int]], folded: FoldedText, n_chars: int
    ) -> TokenizedText:
        token_ids = np.array(ids, dtype=np.int64)
        # A vocabulary that its pre-tokenizer does not keep apart can still spell out "[CLS]".
        token_ids[np.isin(token_ids, self._reserved_ids)] = self.unk_id
        spans = np.array(offsets, dtype=np.int64).reshape(-1, 2)  # (T, 2) in the folded text
        held = spans[:, 1] > spans[:, 0]
        token_ids, spans = token_ids[held], spans[held]  # a token of no characters can point nowhere
        return TokenizedText(token_ids, folded.starts[spans[:, 0]], folded.ends[spans[:, 1] - 1], n_chars)
