from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from made_platform import flagged_rows, read, write

from toxitrace.errors import ConfigError, DataError
from toxitrace.explore import SeedItem, near_duplicate_clusters
from toxitrace.explore.tasks.items import flagged_items, limited, read_items
from toxitrace.explore.tasks.query_files import read_query_lists
from toxitrace.explore.tasks.split_items import split_items


def test_labels_may_be_called_toxic_and_spans_may_be_those_of_predict(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": "a",
            "text": "你真是个笨蛋",
            "toxic": True,
            "spans": [{"start": 4, "end": 6, "text": "笨蛋", "score": 0.9}],
        },
        {"id": 7, "text": "天气真好", "toxic": 0, "source": "x"},
        {"id": "c", "text": "", "spans": [], "label": None},
    ]
    items = read_items([write(tmp_path / "items.jsonl", rows)])
    assert [(item.id, item.label, item.spans) for item in items] == [
        ("a", 1, ((4, 6),)),
        ("7", 0, None),
        ("c", None, ()),
    ]


def test_a_compressed_file_is_read_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl.xz"
    path.write_bytes(lzma.compress(json.dumps(flagged_rows()[0]).encode() + b"\n"))
    assert [item.id for item in flagged_items([path])] == ["t00"]


def test_an_item_without_id_is_an_error_since_a_line_number_would_be_another_item_in_the_index(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"items\.jsonl:1"):
        read_items([write(tmp_path / "items.jsonl", [{"text": "笨蛋"}])])


def test_flagged_items_are_those_with_spans_or_those_labelled_toxic(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "笨蛋", "label": 1}, {"id": "b", "text": "你好", "label": 0}]
    path = write(tmp_path / "items.jsonl", rows)
    spans = write(tmp_path / "spans.jsonl", [{"id": "b", "spans": [[0, 1]]}])
    assert [item.id for item in flagged_items([path], spans=spans)] == ["b"]
    assert [item.id for item in flagged_items([path], which="toxic")] == ["a"]
    assert [item.id for item in flagged_items([path], which="all")] == ["a", "b"]
    with pytest.raises(DataError, match="--spans"):
        flagged_items([path])


def test_spans_of_other_texts_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "items.jsonl", [{"id": "a", "text": "笨蛋", "label": 1}])
    spans = write(tmp_path / "spans.jsonl", [{"id": "z", "spans": [[0, 1]]}])
    with pytest.raises(DataError, match="none of its 1 ids"):
        flagged_items([path], spans=spans)


def test_a_sample_is_the_same_whatever_the_order_of_the_items() -> None:
    items = [SeedItem(str(n), "笨蛋") for n in range(20)]
    one, two = limited(items, 5, seed=3), limited(items[::-1], 5, seed=3)
    assert [item.id for item in one] == [item.id for item in two[::-1]]
    assert limited(items, 5, seed=4) != one
    with pytest.raises(ConfigError, match="--limit"):
        limited(items, 0, seed=1)


def test_of_judged_queries_the_kept_ones_are_read_by_rank(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "query": "骗子", "rank": 1, "kept": True},
        {"id": "a", "query": "笨蛋", "rank": 0, "kept": True},
        {"id": "b", "query": "公园", "rank": 0, "kept": False},
    ]
    assert read_query_lists(write(tmp_path / "judged.jsonl", rows)) == {"a": ["笨蛋", "骗子"], "b": []}


def test_near_duplicates_stay_in_one_part_and_no_part_is_overwritten(tmp_path: Path) -> None:
    items = [SeedItem(row["id"], row["text"], tuple(map(tuple, row["spans"]))) for row in flagged_rows()]
    items += [SeedItem(f"{item.id}-again", item.text + "！", item.spans) for item in items[:6]]
    sizes = split_items(items, tmp_path / "parts", [0.5, 0.2, 0.3], seed=1)
    assert sum(sizes.values()) == 42
    part_of = {row["id"]: part for part in sizes for row in read(tmp_path / "parts" / f"{part}.jsonl")}
    clusters = dict(zip((item.id for item in items), near_duplicate_clusters([i.text for i in items]), strict=True))
    parts_of_cluster: dict[int, set[str]] = {}
    for id, cluster in clusters.items():
        parts_of_cluster.setdefault(cluster, set()).add(part_of[id])
    assert all(len(parts) == 1 for parts in parts_of_cluster.values())
    assert [item.id for item in flagged_items([tmp_path / "parts" / "dev.jsonl"])]
    with pytest.raises(ConfigError, match="exists"):
        split_items(items, tmp_path / "parts", [0.5, 0.2, 0.3], seed=1)
