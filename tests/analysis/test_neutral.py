"""Names go out as text: no cell is a formula, no heading is Markdown of its own."""

import csv
import io

import fake_records
import pytest

from rdu_bench import analysis


@pytest.mark.parametrize(
    "title", ["=1+1", "+1", "-1", "@a", "\t=1", "a|b", "# a", "<b>", "[a](b)", "`a`", "a\nb", "*a*"]
)
def test_a_title_is_text_in_csv_and_markdown(title):
    board = analysis.leaderboard([fake_records.record("vae", title=title, dataset="set", sigma=s) for s in (2.0, 6.0)])
    [row] = csv.DictReader(io.StringIO(analysis.to_csv(board)))
    assert row["name"] == ("'" + title if title[0] in "=+-@\t" else title)
    assert not any(str(cell).startswith(("=", "@", "\t")) for cell in row.values())
    text = analysis.to_markdown(board)
    line = text.splitlines()[-1]
    assert len(line.replace("\\|", "").split("|")) == 16  # fourteen cells
    assert "<b>" not in text and "](b" not in text.replace("\\]", "")


def test_numbers_stay_numbers_in_csv():
    board = analysis.leaderboard([fake_records.record(m, sigma=s) for m in ("vae", "beta_tcvae") for s in (2.0, 6.0)])
    rows = list(csv.DictReader(io.StringIO(analysis.to_csv(board))))
    assert min(float(row["bd_nats"] or "nan") for row in rows) < 0
