import io

from toxitrace.report.progress import BarProgress, Begun, PlainProgress, pace, progress_on


def test_plain_progress_speaks_only_now_and_then_and_tells_the_rate() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = PlainProgress(stream, "texts", every_seconds=10, clock=lambda: now[0])
    for seconds, n_items in [(5, 50), (10, 100), (15, 150), (20, 400)]:
        now[0] = seconds
        progress.update(n_items, n_items / 400)
    progress.close()
    assert stream.getvalue() == "100 texts (25%), 10 texts/s, 0:30 left\n400 texts (100%), 20 texts/s\n"


def test_a_run_that_goes_on_counts_what_was_done_and_times_only_its_own_part() -> None:
    line = pace(200, 0.75, 10.0, unit="texts", n_bad=1200, begun=Begun(1000, 0.5))
    assert line == "1,200 texts (75%), 20 texts/s, 0:10 left, 1,200 bad lines"


def test_without_a_known_size_there_is_no_share_and_no_time_left() -> None:
    assert pace(200, None, 10.0, unit="texts") == "200 texts, 20 texts/s"
    assert pace(0, 0.5, 0.0, unit="texts", begun=Begun(10, 0.5)) == "10 texts (50%), 0 texts/s"


def test_a_file_gets_lines_and_no_bar() -> None:
    assert isinstance(progress_on(io.StringIO()), PlainProgress)


def test_the_bar_runs_with_and_without_a_known_size() -> None:
    progress = BarProgress(io.StringIO(), "texts", Begun(7, 0.1))
    progress.update(1, None)
    progress.update(2, 0.5, n_bad=1)
    progress.close()
