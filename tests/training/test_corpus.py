import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.errors import DataError
from toxitrace.settings import FoldOptions
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.training.corpus import TokenBlocks, corpus_files, read_passages, stem, token_stream

PASSAGES = ["今天天气不错", "晚上一起吃面吧", "北京下雪了"]


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return TextTokenizer(build_char_tokenizer(PASSAGES, 100, 1), FoldOptions())


def _write(path: Path) -> Path:
    openers = {".xz": lzma.open, ".gz": gzip.open}
    with openers.get(path.suffix, open)(path, "wt", encoding="utf-8") as stream:
        if ".jsonl" in path.name:
            stream.writelines(json.dumps({"text": text}) + "\n" for text in [*PASSAGES, " "])
        else:
            stream.write("\n".join([PASSAGES[0], "", "  " + PASSAGES[1], PASSAGES[2]]))
    return path


@pytest.mark.parametrize("ending", [".txt", ".txt.xz", ".txt.gz", ".jsonl", ".jsonl.xz", ".jsonl.gz"])
def test_every_kind_of_file_gives_its_passages_without_blank_ones(tmp_path: Path, ending: str) -> None:
    assert list(read_passages(_write(tmp_path / f"a{ending}"))) == PASSAGES


def test_a_folder_gives_its_text_files_sorted(tmp_path: Path) -> None:
    for name in ("b.txt", "a.jsonl.xz", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in corpus_files([str(tmp_path)])] == ["a.jsonl.xz", "b.txt"]
    assert stem(tmp_path / "a.jsonl.xz") == "a"


def test_missing_texts_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt does not exist"):
        corpus_files([str(tmp_path / "nowhere.txt")])
    with pytest.raises(DataError, match="holds no text file"):
        corpus_files([str(tmp_path)])
    with pytest.raises(DataError, match="--texts"):
        corpus_files([])


@pytest.mark.parametrize("line", ['{"body": "你好"}', "no json", '["你好"]', '{"text": 3}'])
def test_a_bad_json_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "你好"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:2: expected a JSON object"):
        list(read_passages(path))


@pytest.mark.parametrize("ending", [".txt.xz", ".txt.gz"])
def test_a_truncated_archive_is_a_data_error(tmp_path: Path, ending: str) -> None:
    path = _write(tmp_path / f"a{ending}")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match="is it cut short"):
        list(read_passages(path))


def test_a_token_stream_is_every_passage_with_an_end_mark(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    stream = token_stream(_write(tmp_path / "a.txt"), tokenizer, tmp_path / "cache")
    expected = [token for text in PASSAGES for token in [*tokenizer.tokenize([text])[0].token_ids, tokenizer.sep_id]]
    assert stream.tolist() == expected
    assert stream.dtype == np.uint16


def test_the_cache_knows_files_of_one_name_changed_files_and_other_tokenizers(
    tmp_path: Path, tokenizer: TextTokenizer
) -> None:
    cache = tmp_path / "cache"
    (tmp_path / "x").mkdir()
    first, second = tmp_path / "a.txt", tmp_path / "x" / "a.txt"
    first.write_text("今天", encoding="utf-8")
    second.write_text("天气", encoding="utf-8")
    streams = [token_stream(path, tokenizer, cache).tolist() for path in (first, second)]
    first.write_text("今天天气", encoding="utf-8")
    streams.append(token_stream(first, tokenizer, cache).tolist())
    other = TextTokenizer(build_char_tokenizer(["气天今"], 100, 1), FoldOptions())
    streams.append(token_stream(first, other, cache).tolist())
    assert len({tuple(stream) for stream in streams}) == 4
    before = sorted(cache.iterdir())
    assert token_stream(second, tokenizer, cache).tolist() == streams[1]
    assert sorted(cache.iterdir()) == before


def _blocks(seed: int = 0) -> TokenBlocks:
    long, short = np.arange(1000, dtype=np.uint16), np.arange(1000, 1063, dtype=np.uint16)
    return TokenBlocks((long, short), (1, 3), block_tokens=10, seed=seed)


def test_blocks_are_a_pure_function_of_seed_and_pass() -> None:
    assert (_blocks().pass_order(2) == _blocks().pass_order(2)).all()
    assert (_blocks().pass_order(2) != _blocks().pass_order(3)).any()
    assert (_blocks().pass_order(2) != _blocks(seed=1).pass_order(2)).any()


def test_a_pass_reads_every_stream_as_often_as_asked_up_to_its_ends() -> None:
    blocks = _blocks()
    order = blocks.pass_order(0)
    assert len(order) == blocks.per_pass() == 99 + 3 * 5
    tokens, counts = np.unique(blocks.cut(order), return_counts=True)
    assert set(counts[tokens < 1000]) == {1}
    assert (tokens < 1000).sum() == 990
    assert counts[tokens >= 1000].sum() == 3 * 50
    assert set(range(1010, 1050)) <= set(tokens)  # what every cut of 63 tokens into five blocks of 10 contains
    assert counts[(tokens >= 1013) & (tokens < 1050)].tolist() == [3] * 37


def test_a_cut_is_a_run_of_its_stream() -> None:
    blocks = _blocks()
    cut = blocks.cut(blocks.pass_order(5))
    assert cut.shape == (114, 10)
    assert (np.diff(cut, axis=1) == 1).all()


def test_a_stream_shorter_than_two_blocks_gives_none() -> None:
    assert TokenBlocks((np.zeros(19, np.uint16),), (4,), block_tokens=10, seed=0).per_pass() == 0
