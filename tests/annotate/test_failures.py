import io

from toxitrace.annotate.failures import Failures


def test_the_first_reason_is_said_once_and_the_number_ever_more_rarely() -> None:
    stream = io.StringIO()
    failures = Failures(stream)
    for i in range(9):
        failures.note(f"reason {i}")
    assert stream.getvalue().splitlines() == [
        "a row failed: reason 0", "2 rows failed so far", "4 rows failed so far", "8 rows failed so far"
    ]  # fmt: skip
