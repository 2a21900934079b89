"""Plain text -> token blocks for masked-LM pre-training, cached on disk and cut anew at every step."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from toxitrace.errors import DataError
from toxitrace.text.fold import fold
from toxitrace.text.tokenize import TextTokenizer

TEXT_ENDINGS = (".txt", ".txt.xz", ".txt.gz", ".jsonl", ".jsonl.xz", ".jsonl.gz")
_OPENERS: dict[str, Callable[..., IO[str]]] = {".xz": lzma.open, ".gz": gzip.open}

Tokens = npt.NDArray[np.unsignedinteger[Any]]


def corpus_files(paths: Iterable[str]) -> list[Path]:
    """The text files named by ``paths``, folders read one level deep, sorted.

    Raises:
        DataError: a path does not exist or a folder holds no text file.
    """
    files: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.name.endswith(TEXT_ENDINGS))
            if not found:
                raise DataError(f"{path} holds no text file; expected one of {', '.join(TEXT_ENDINGS)}")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} does not exist; check --texts")
    if not files:
        raise DataError("no text to train on; name files or folders with --texts")
    return files


def stem(path: Path) -> str:
    """File name without any ending: ``weibo.txt.xz`` -> ``weibo``."""
    return path.name.split(".")[0]


def read_passages(path: Path) -> Iterator[str]:
    """The non-blank passages of a text file, or the ``text`` fields of a JSON-lines file.

    Raises:
        DataError: a line is not what the ending promises; names file and line.
    """
    opener = _OPENERS.get(path.suffix, open)
    is_json = ".jsonl" in path.suffixes
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):  # noqa: B007  # the errors below name the line
                passage = (_text_field(line) if is_json else line).strip()
                if passage:
                    yield passage
    except (ValueError, KeyError, TypeError):
        raise DataError(f'{path}:{number}: expected a JSON object with a "text" field that holds a string') from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path} cannot be read beyond line {number}: {error}; is it cut short?") from error


def _text_field(line: str) -> str:
    text = json.loads(line)["text"] if line.strip() else ""
    if not isinstance(text, str):
        raise TypeError
    return text


def all_passages(files: Iterable[Path]) -> Iterator[str]:
    """The passages of all files in order."""
    for path in files:
        yield from read_passages(path)


def token_stream(path: Path, tokenizer: TextTokenizer, cache: Path) -> Tokens:
    """All token ids of a file, a [SEP] after each passage, memory-mapped from ``cache`` once made.

    Returns:
        (N,) uint16, or uint32 for a vocabulary above 65,536.
    """
    target = cache / f"{stem(path)}-{_fingerprint(path, tokenizer)}.npy"
    if not target.exists():
        dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
        parts = [np.zeros(0, dtype)]
        end = np.array([tokenizer.sep_id], dtype)
        passages = read_passages(path)
        while batch := list(itertools.islice(passages, 4096)):
            folded = [fold(text, tokenizer.fold).text for text in batch]
            for tokens in tokenizer.raw.encode_batch_fast(folded, add_special_tokens=False):
                parts += [np.array(tokens.ids, dtype), end]
        cache.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial.npy")
        np.save(partial, np.concatenate(parts))
        partial.rename(target)
    stream: Tokens = np.load(target, mmap_mode="r")
    return stream


def _fingerprint(path: Path, tokenizer: TextTokenizer) -> str:
    """Tells apart files of the same name, versions of a file, and tokenizers."""
    status = path.stat()
    facts = (str(path.resolve()), status.st_size, status.st_mtime_ns, tokenizer.fold, tokenizer.raw.to_str())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class TokenBlocks:
    """Blocks of equal length cut from token streams; which block comes n-th is a pure function of seed and n.

    Attributes:
        streams: (N_i,) token ids, one array per file.
        repeats: how often each stream is read per pass.
        block_tokens: tokens per block, without [CLS] and [SEP].
        seed: draws the order of the blocks and the cut's offset, new for every pass.
    """

    streams: tuple[Tokens, ...]
    repeats: tuple[int, ...]
    block_tokens: int
    seed: int

    def per_pass(self) -> int:
        """Blocks in one pass over the corpus."""
        return sum(
            repeat * max(len(stream) // self.block_tokens - 1, 0)
            for stream, repeat in zip(self.streams, self.repeats, strict=True)
        )

    def pass_order(self, number: int) -> npt.NDArray[np.int64]:
        """(blocks, 2) stream index and start offset of every block of pass ``number``, shuffled."""
        rng = np.random.default_rng([self.seed, number])
        rows = []
        for index, (stream, repeat) in enumerate(zip(self.streams, self.repeats, strict=True)):
            for _ in range(repeat):
                count = max(len(stream) // self.block_tokens - 1, 0)
                starts = rng.integers(self.block_tokens) + np.arange(count) * self.block_tokens
                rows.append(np.stack([np.full(count, index), starts], axis=1))
        order = np.concatenate(rows)
        rng.shuffle(order)
        return order

    def cut(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(B, 2) rows of ``pass_order`` -> (B, block_tokens) int64 token ids."""
        return np.stack([self.streams[i][s : s + self.block_tokens] for i, s in rows]).astype(np.int64)
