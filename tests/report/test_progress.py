import io

from toxitrace.report.progress import BarProgress, PlainProgress, progress_on


def test_plain_progress_speaks_only_now_and_then_and_tells_the_rate() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = PlainProgress(stream, "texts", every_seconds=10, clock=lambda: now[0])
    for seconds, n_items in [(5, 50), (10, 100), (15, 150), (20, 400)]:
        now[0] = seconds
        progress.update(n_items, n_items / 400)
    progress.close()
    assert stream.getvalue() == "100 texts (25%), 10 texts/s\n400 texts (100%), 20 texts/s\n"


def test_a_file_gets_lines_and_no_bar() -> None:
    assert isinstance(progress_on(io.StringIO()), PlainProgress)


def test_the_bar_runs_with_and_without_a_known_size() -> None:
    progress = BarProgress(io.StringIO(), "texts")
    progress.update(1, None)
    progress.update(2, 0.5)
    progress.close()
