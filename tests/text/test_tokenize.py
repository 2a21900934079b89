import time
from pathlib import Path

import numpy as np
import pytest
from awkward_text import awkward_text
from hypothesis import given, settings
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from toxitrace.errors import ModelError
from toxitrace.settings import FoldOptions
from toxitrace.text import TextTokenizer, TokenizedText, fold

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*"今天气很好笨蛋后来头发乱了野家abcdefk[]*，。！1é", "word", "##ing", "cls", "mask", "##s", "hello"]


def bert_layout() -> Tokenizer:
    """The parts of a hub BERT: its normalizer, pre-tokenizer, word pieces and [CLS] ... [SEP] template."""
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def character_layout() -> Tokenizer:
    """A scratch tokenizer: one token per character, special tokens known to the vocabulary only."""
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*SPECIAL, *WORDS]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return tokenizer


def word_layout() -> Tokenizer:
    """The careless one: words by white space, so that the vocabulary itself can spell "[CLS]"."""
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(SPECIAL)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


LAYOUTS = {"bert": bert_layout, "characters": character_layout, "words": word_layout}
TOKENIZERS = {
    (name, lower): TextTokenizer(build(), FoldOptions(lowercase=lower))
    for name, build in LAYOUTS.items()
    for lower in (True, False)
}
every_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=map(str, TOKENIZERS))


def offsets(tokens: TokenizedText) -> list[tuple[int, int]]:
    return list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True))


@every_tokenizer
@settings(max_examples=40)  # times six tokenizers
@given(text=awkward_text)
def test_offsets_point_into_the_callers_string_and_never_go_backwards(tokenizer: TextTokenizer, text: str) -> None:
    [tokens] = tokenizer.tokenize([text])
    assert tokens.n_chars == len(text)
    assert tokens.token_ids.dtype == tokens.starts.dtype == tokens.ends.dtype == np.int64
    assert tokens.token_ids.shape == tokens.starts.shape == tokens.ends.shape
    assert (tokens.starts >= 0).all()
    assert (tokens.ends <= len(text)).all()
    assert (tokens.starts < tokens.ends).all()
    assert (np.diff(tokens.starts) >= 0).all()
    assert (np.diff(tokens.ends) >= 0).all()


@every_tokenizer
@settings(max_examples=40)  # times six tokenizers
@given(text=awkward_text)
def test_no_text_can_produce_a_special_token_but_unk(tokenizer: TextTokenizer, text: str) -> None:
    [tokens] = tokenizer.tokenize([text])
    reserved = {tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id, tokenizer.mask_id}
    assert not reserved & set(tokens.token_ids.tolist())


@given(text=awkward_text)
def test_a_known_character_token_folds_back_to_itself(text: str) -> None:
    tokenizer = TOKENIZERS["characters", True]
    [tokens] = tokenizer.tokenize([text])
    for token_id, (start, end) in zip(tokens.token_ids.tolist(), offsets(tokens), strict=True):
        if token_id != tokenizer.unk_id:
            assert tokenizer.raw.id_to_token(token_id) in fold(text[start:end], tokenizer.fold).text


@every_tokenizer
def test_special_tokens_in_a_text_are_ordinary_characters(tokenizer: TextTokenizer) -> None:
    [tokens] = tokenizer.tokenize(["[CLS] [MASK] [SEP] [PAD]"])
    assert set(tokens.token_ids.tolist()) <= set(range(tokenizer.vocab_size)) - {0, 2, 3, 4}


def test_bert_spells_a_typed_special_token_in_pieces() -> None:
    tokenizer = TOKENIZERS["bert", True]
    [tokens] = tokenizer.tokenize(["好[CLS]"])
    assert [tokenizer.raw.id_to_token(i) for i in tokens.token_ids.tolist()] == ["好", "[", "cls", "]"]
    assert offsets(tokens) == [(0, 1), (1, 2), (2, 5), (5, 6)]


def test_folded_characters_keep_their_raw_offsets() -> None:
    [tokens] = TOKENIZERS["bert", True].tokenize(["頭\u200b髮ＡＢ ㏂"])
    assert offsets(tokens)[:3] == [(0, 2), (2, 3), (3, 5)]


def test_ids_are_those_of_the_tokenizer_on_the_folded_text() -> None:
    tokenizer = TOKENIZERS["bert", True]
    [tokens] = tokenizer.tokenize(["今天天氣很好。Wording"])
    expected = tokenizer.raw.encode("今天天气很好。wording", add_special_tokens=False)
    assert tokens.token_ids.tolist() == expected.ids
    assert offsets(tokens) == expected.offsets


def test_texts_come_back_in_order_and_without_padding() -> None:
    texts = ["今天", "", "今天天气很好", "\u200b"]
    assert [len(tokens.token_ids) for tokens in TOKENIZERS["bert", True].tokenize(texts)] == [2, 0, 6, 0]


def test_no_texts_give_no_tokens() -> None:
    assert TOKENIZERS["bert", True].tokenize([]) == []


def test_stored_truncation_and_padding_are_switched_off(tmp_path: Path) -> None:
    stored = bert_layout()
    stored.enable_truncation(4)
    stored.enable_padding(length=16)
    stored.save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer.load(tmp_path, FoldOptions())
    assert [len(tokens.token_ids) for tokens in tokenizer.tokenize(["今天天气很好", "好"])] == [6, 1]


def test_a_loaded_tokenizer_knows_its_special_ids(tmp_path: Path) -> None:
    bert_layout().save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer.load(tmp_path, FoldOptions())
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    assert ids == (0, 1, 2, 3, 4)
    assert tokenizer.vocab_size == len({*SPECIAL, *WORDS})


def test_a_vocabulary_without_mask_has_no_mask_id() -> None:
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(SPECIAL[:4])}, unk_token="[UNK]"))
    assert TextTokenizer(raw, FoldOptions()).mask_id is None


def test_a_folder_without_tokenizer_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        TextTokenizer.load(tmp_path, FoldOptions())


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": "1.0", "model"', b"\xff\xfe\x00"])
def test_a_broken_tokenizer_file_is_a_model_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        TextTokenizer.load(tmp_path, FoldOptions())


def test_a_tokenizer_of_another_layout_is_a_model_error(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"<s>": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"has no \[CLS\], \[SEP\], \[PAD\]"):
        TextTokenizer.load(tmp_path, FoldOptions())


@pytest.mark.parametrize("pattern", ["今天天气很好，", "😂", "a", "e\u0301\u200b"])
def test_a_line_of_a_megabyte_is_tokenised_in_seconds(pattern: str) -> None:
    line = pattern * (1_000_000 // len(pattern.encode()) + 1)
    before = time.process_time()
    [tokens] = TOKENIZERS["bert", True].tokenize([line])
    assert time.process_time() - before < 10.0
    assert tokens.ends[-1] == len(line)
