import json

import pytest

from toxitrace.annotate.rationale_rows import llm_rationale_rows, recorded_rationale_rows
from toxitrace.annotate.rows import RationaleRow, Stopped
from toxitrace.annotate.second_try import SecondTry
from toxitrace.annotate.verify import verify_argument
from toxitrace.data import Example, Rationales
from toxitrace.errors import LLMError
from toxitrace.llm import LLMReply, LLMRequest, ask_all
from toxitrace.llm.budget import BudgetSpent

PRO, CON = "这句话用侮辱性的词骂人，是在攻击对方。", "这句话只是朋友之间的玩笑，没有恶意。"
EXAMPLES = [Example("a", "你真是个笨蛋", 1), Example("b", "走开", 0)]


class Arguing:
    """Argues both sides; ``special`` replaces what it says about a text on one side."""

    model = "arguing"

    def __init__(self, special: dict[tuple[str, str], object] | None = None) -> None:
        self.special = special or {}
        self.n_asked = 0

    def complete(self, request: LLMRequest) -> LLMReply:
        self.n_asked += 1
        side = request.prompt_version.removeprefix("arcl-").partition("/")[0]
        step = self.special.get((json.loads(request.content)["text"], side))
        if isinstance(step, Exception):
            raise step
        if isinstance(step, LLMReply):
            return step
        argument = step or (PRO if side == "toxic" else CON)
        return LLMReply(json.dumps({"argument": argument}), "stop", "arguing")


def rows(client: Arguing) -> dict[str, RationaleRow | Stopped]:
    second = SecondTry(client, verify_argument)
    found = llm_rationale_rows(EXAMPLES, lambda requests: ask_all(second, requests, concurrency=2), client.model)
    return {row.id: row for row in found}


def test_both_sides_are_asked_and_joined_by_id() -> None:
    client = Arguing()
    assert rows(client) == {id: RationaleRow(id, PRO, CON, "llm", "arguing") for id in "ab"}
    assert client.n_asked == 4


def test_an_argument_out_of_bounds_is_asked_once_more_and_then_left_out() -> None:
    client = Arguing({("走开", "toxic"): "太短"})
    row = rows(client)["b"]
    assert isinstance(row, RationaleRow)
    assert (row.outcome, row.toxic, row.non_toxic) == ("invalid", None, CON)
    assert row.error == "toxic: the argument must have 10 to 200 characters"
    assert client.n_asked == 5


def test_a_row_takes_the_outcome_that_another_run_may_mend() -> None:
    blocked = LLMReply("", "blocked", "arguing")
    found = rows(Arguing({("走开", "toxic"): LLMError("busy"), ("走开", "non-toxic"): blocked}))["b"]
    assert isinstance(found, RationaleRow)
    assert found.outcome == "failed"
    assert "non_toxic: refused by the service's safety filter" in (found.error or "")


def test_a_side_that_was_not_asked_leaves_no_row() -> None:
    found = rows(Arguing({("走开", "non-toxic"): BudgetSpent("spent")}))
    assert found["b"] == Stopped("b", "spent")


def test_a_row_that_failed_names_nobody_as_its_source() -> None:
    found = rows(Arguing({("走开", "toxic"): LLMError("busy")}))["b"]
    assert isinstance(found, RationaleRow)
    assert (found.outcome, found.source) == ("failed", "none")


@pytest.mark.parametrize("other", [PRO, " 这句话用侮辱性的词骂人！是在攻击对方"])
def test_the_same_argument_for_both_sides_is_none(other: str) -> None:
    found = rows(Arguing({("走开", "non-toxic"): other}))["b"]
    assert found == RationaleRow("b", None, None, "none", "arguing", "invalid", "both sides have the same argument")


def test_nobody_argues_about_a_blank_text() -> None:
    client = Arguing()
    second = SecondTry(client, verify_argument)
    blank = [Example("z", "\u200b\n", 0), *EXAMPLES, Example("e", " ", 0)]
    found = list(llm_rationale_rows(blank, lambda requests: ask_all(second, requests), client.model))
    assert {row.id: row.outcome for row in found if isinstance(row, RationaleRow)} == {
        "z": "blank", "a": "ok", "b": "ok", "e": "blank"
    }  # fmt: skip
    assert client.n_asked == 4


def test_recorded_arguments_pass_the_same_checks() -> None:
    notes = {"a": Rationales("a", PRO, CON), "b": Rationales("b", "短", CON)}
    good, bad = recorded_rationale_rows(EXAMPLES, notes, "mine")
    assert good == RationaleRow("a", PRO, CON, "recorded", "mine")
    assert bad.outcome == "invalid"
