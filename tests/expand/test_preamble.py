"""What is a preamble and what is the text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.expand.answers import read_answers
from toxitrace.expand.candidates import read_candidates
from toxitrace.expand.preamble import strip_preamble

TEXT = "猫是常见的宠物，怕水的不多。"


@pytest.mark.parametrize(
    "reply",
    [
        TEXT,
        f"好的，以下是一段关于猫的短文：\n\n{TEXT}",
        f"以下是为您撰写的文章:{TEXT}",
        f"当然可以！这是一段介绍：\n{TEXT}",
        f"根据您的问题，我写了一段话：{TEXT}",
        f"短文：{TEXT}",
        f"**答案：** {TEXT}",
        f"好的。\n{TEXT}",
        f"好的，以下是短文：\n短文：{TEXT}",
        f"Here is a passage that answers the question:\n\n{TEXT}",
        f"Here's a short paragraph about cats: {TEXT}",
        f"Sure! Here is the requested document:\n{TEXT}",
        f"Certainly.\n\nPassage: {TEXT}",
        f"“{TEXT}”",
        f"```\n{TEXT}\n```",
        f'Here is a passage: "{TEXT}"',
    ],
)
def test_preambles_labels_and_quotes_around_the_whole_go(reply: str) -> None:
    assert strip_preamble(reply) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "当然，猫也会怕水。",
        "好的工具有三种：锤子、锯子、钳子。",
        "这是一种说法：猫怕水。",
        "“甲”和“乙”",
        "Here is where the river ends: at the sea.",
        "Sure of himself, he went on: nothing could stop him.",
        "可以说，这本书很好。",
    ],
)
def test_texts_that_only_look_alike_stay(text: str) -> None:
    assert strip_preamble(text) == text


@given(st.text(alphabet='好的，以下是短文：\n"“”Sure!Here is a passage: 猫`*', max_size=40))
def test_stripping_twice_is_stripping_once(text: str) -> None:
    once = strip_preamble(text)
    assert strip_preamble(once) == once


def test_recorded_expansions_and_answers_are_stripped_as_training_data_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "q", "expansion": "好的，以下是一段短文：猫", "answer": "答案：猫"}\n', encoding="utf-8")
    assert read_candidates(path) == {"q": ("猫",)}
    assert read_answers(path) == {"q": "猫"}
