"""What the page says, and what lies beside it."""

import csv
import html
import json
import re

import fake_records
import numpy as np
import pandas as pd
import pytest

from rdu_bench._claims import Said
from rdu_bench._hash import digest
from rdu_bench.analysis.hull import CAP, ENOUGH
from rdu_bench.report import render
from rdu_bench.report.text import counted


def test_tables_are_written_beside_the_page(page):
    for name in ("leaderboard.csv", "leaderboard.md", "frontier-D.csv", "frontier-Dy.csv"):
        assert (page.parent / name).stat().st_size > 200


def test_the_page_asks_the_network_for_nothing(page, told):
    text = page.read_text(encoding="utf-8")
    body = text[: text.index("<script>")] + text[text.index('id="payload"') :] + json.dumps(told(page))
    assert "src=" not in body and "http://" not in body and "https://" not in body


def test_no_sign_of_the_templates_is_left(whole):
    text = whole.read_text(encoding="utf-8")
    body = text[text.index("<body>") : text.index("<script>")]
    assert not any(sign in body for sign in ("{{", "}}", "{%", ">None<", ">nan<", "NaN", "Undefined"))


def test_drawing_again_replaces_and_leaves_no_parts(tmp_path):
    records = [fake_records.record("vae", sigma=s) for s in (1.0, 4.0)]
    first = render(records, tmp_path).read_bytes()
    before = {p.name for p in tmp_path.rglob("*")}
    second = render(records[:1], tmp_path).read_bytes()
    assert {p.name for p in tmp_path.rglob("*")} == before and first != second


def test_a_failed_drawing_leaves_the_old_page(page, monkeypatch):
    from rdu_bench.report import page as module

    before = page.read_bytes()
    monkeypatch.setattr(module, "build", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render(fake_records.suite(("vae",), seeds=1), page.parent, formats=())
    assert page.read_bytes() == before and not list(page.parent.rglob("*.part"))


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(ValueError, match="no records"):
        render([], tmp_path)


def test_a_run_in_which_all_failed_still_has_a_page(tmp_path):
    lost = [fake_records.record("vae", sigma=s, status="error", reason="no good") for s in (1.0, 2.0)]
    text = render([{**r, "values": {}, "factors": {}} for r in lost], tmp_path).read_text(encoding="utf-8")
    assert "no good" in text


@pytest.mark.parametrize(
    "more, said",
    [
        ({}, "<dd>6,400 training steps of 128 examples a point, learning rate 0.002</dd>"),
        ({"patience": 0.4, "warm": 800}, "<dd>until validation gains no more, at most 6,400 training steps of 128"),
    ],
)
def test_a_cap_is_not_shown_as_what_was_trained(more, said, tmp_path):
    records = [fake_records.record("vae", sigma=s) for s in (1.0, 4.0)]
    for record in records:
        record["spec"] = {**record["spec"], "budget": {"steps": 6400, "batch": 128, "lr": 0.002, **more}}
    assert said in render(records, tmp_path, formats=()).read_text("utf-8")


def test_several_budgets_are_told_in_one_breath_and_large_counts_with_commas(tmp_path):
    steps = {"sprites": (9600, 0.4), "digits": (4800, 0.4), "coloured": (800, 0.0)}
    records = [fake_records.record("vae", sigma=4.0, dataset=name) for name in steps]
    for record, (most, patience) in zip(records, steps.values(), strict=True):
        budget = {"steps": most, "batch": 128, "patience": patience}
        record["spec"] = {**record["spec"], "budget": budget}
    text = render(records, tmp_path, formats=()).read_text("utf-8")
    assert (
        "<dd>3 budgets: 800 training steps; or until validation gains no more, at most 4,800 and 9,600 training steps<"
        in text
    )
    assert counted(1448, "point") == "1,448 points" and counted(1, "budget") == "1 budget"


PARTS = ("useful", "scores", "codes", "learning", "structure")


def test_parts_that_no_record_has_are_absent(whole, page, told):
    assert all(f'id="sprites-{part}"' in whole.read_text(encoding="utf-8") for part in PARTS)
    for text, dataset in ((whole.read_text(encoding="utf-8"), "digits"), (page.read_text(encoding="utf-8"), "sprites")):
        assert f'id="{dataset}-useful"' in text
        assert not any(f'id="{dataset}-{part}"' in text for part in PARTS[1:])
    assert not (page.parent / "scores.csv").exists()
    assert set(told(page)["sets"]["sprites"]) == {"looks", "dims", "useful"}


def test_a_failed_run_has_no_part_and_breaks_nothing(tmp_path, told):
    lost = [fake_records.record("vae", sigma=s, status="diverged") | {"scores": {}, "mi": {}} for s in (1.0, 2.0)]
    assert set(told(render(lost, tmp_path))["sets"]["sprites"]) == {"looks", "dims"}


def test_the_payload_is_json_without_nan(whole, page, told):
    assert told(page)["plots"] and told(whole)["sets"]["sprites"]["scores"]["curves"]


def test_scores_are_a_table_that_names_protocol_and_representation(whole):
    rows = list(csv.DictReader((whole.parent / "scores.csv").open()))
    columns = [c for c in rows[0] if c.endswith(("_mean", "_sample"))]
    assert len(columns) == 13 * 4 and "mig_robust_mean" in columns and "irs_dlib_sample" in columns
    assert all("_dlib_" in c or "_robust_" in c for c in columns)
    assert {r["dataset"] for r in rows} == {"sprites"} and len(rows) == 4 * 2 * 8 + 1
    assert any(r["dci_disentanglement_robust_sample"] == "" for r in rows)


def test_every_score_is_drawn_or_its_lack_explained(whole, told):
    scores = told(whole)["sets"]["sprites"]["scores"]
    for column, models in scores["averages"].items():
        drawn = sum(n for curve in scores["curves"].get(column, {}).values() for *_, n, of in curve)
        lacking = scores["lacking"].get(column, [])
        assert drawn + sum(n for _, n, _ in lacking) == scores["points"][column]
        assert all(reason for reason, _, _ in lacking) and len(models) == 5
    assert scores["lacking"]["mig_dlib_mean"][0][:2] == ["the point has no numbers that count (diverged)", 1]


def test_a_score_is_averaged_over_all_targets_and_says_over_how_many(whole, told):
    scores, looks = (told(whole)["sets"]["sprites"][part] for part in ("scores", "looks"))
    number = str([look["name"] for look in looks].index("VAE"))
    whole_grid, partial = (scores["averages"][f"{s}_robust_sample"][number] for s in ("mig", "dci_disentanglement"))
    assert whole_grid[2:] == [14, 14] and partial[2] < partial[3] == 14
    targets = [point[1] for point in scores["curves"]["mig_robust_sample"][number] if point[3] != "ELBO"]
    assert whole_grid[0] == pytest.approx(np.mean(targets), abs=1e-4)
    assert "best" not in json.dumps(scores)


def test_seeds_that_agree_are_a_score_where_there_are_enough(tmp_path, told):
    records = [fake_records.rich(fake_records.record("vae", seed=s, sigma=t)) for s in range(5) for t in (2.0, 6.0)]
    few = [fake_records.rich(fake_records.record("beta_vae", seed=s, sigma=6.0)) for s in range(2)]
    scores = told(render(records + few, tmp_path, vectors=fake_records.vectors))["sets"]["sprites"]["scores"]
    [[_, low, _, target, *_], [_, high, _, _, n, of]] = scores["curves"]["udr_robust_mean"]["0"]
    assert target == "σ = 2" and 0.8 < low <= 1 and 0.8 < high <= 1 and n == of == 5
    [[reason, count, models]] = scores["lacking"]["udr_robust_mean"]
    assert "at least 5" in reason and count == 1 and models == "β-VAE"
    assert scores["averages"]["udr_robust_mean"]["0"][2:] == [2, 2]
    assert "udr_robust_mean" in (tmp_path / "udr.csv").read_text(encoding="utf-8")


def test_structure_names_each_number_and_its_direction(whole):
    text = whole.read_text(encoding="utf-8")
    for words in (
        "I_V ≤ I(s; z)",
        "D_s ≥ H(s|z)",
        "R* ≥ I(x; z)",
        "ARI ↑",
        "MDL (nats) ↓",
        "&gt; ",
        "k-means",
        "z1 + z2 + z3",
    ):
        assert words in text
    assert "Not there: the code has 1 block; levels are 2 to 6 (VAE)." in text
    for head in ("linear ≥ H(y|z)", "knn ≥ H(y|z)", "boosted trees ≥ H(y|z)", "factor cut in bins ≥ H(y|z)"):
        assert head in text


def findings(records, out):
    """The first list of findings of the page of these records."""
    text = render(records, out, formats=()).read_text("utf-8")
    return text[text.index('<ul class="findings">') : text.index("</ul>", text.index('<ul class="findings">'))]


def test_findings_follow_from_the_records(tmp_path):
    def said(*models, seeds=2):
        return findings(fake_records.suite(models, seeds=seeds), tmp_path)

    ahead, behind = said("vae", "beta_tcvae"), said("vae", "vq_vae", seeds=1)
    assert "these save the most rate at equal distortion (nats): β-TCVAE (+" in ahead and "95 % interval" in ahead
    assert "no model saves rate at equal distortion (nats); nearest is VQ-VAE (−" in behind
    assert "1 model of 1 is ahead on both" in ahead and "No model of 1 is ahead on both" in behind
    assert "no intervals" in behind and "no intervals" not in ahead
    assert "still improving" not in ahead + behind


def test_findings_tell_models_that_saw_labels_apart(tmp_path):
    records = fake_records.suite(("vae", "beta_tcvae", "m2"), seeds=2)
    text = render(records, tmp_path, formats=()).read_text("utf-8")
    free = re.search(
        r"these save the most rate at equal distortion \(nats\): (.*?)\. Trained on labels: (.*?)\.<", text
    )
    assert "β-TCVAE (+" in free[1] and "M2" not in free[1] and free[2].startswith("M2 † (+")


def test_findings_pass_over_models_of_one_seed_where_others_have_several(tmp_path):
    records = fake_records.suite(("vae", "infovae"), seeds=2) + fake_records.suite(("beta_tcvae",), seeds=1)
    told = findings(records, tmp_path)
    assert "Not among these: 1 model of one seed." in told and "β-TCVAE (+" not in told and "of 1 " in told
    told = findings([r for r in records if r["spec"]["model"] != "infovae"], tmp_path)
    assert "β-TCVAE (+" in told and "With one seed there are no intervals" in told


def test_findings_say_how_many_points_were_cut_off_and_what_they_still_gained(tmp_path):
    records = fake_records.suite(("vae", "beta_tcvae"), seeds=1)
    for record in records[1:]:
        record["control"] |= {"capped": True, "last_gain": 0.4}
    text = render(records, tmp_path, formats=()).read_text("utf-8")
    n = len(records)
    said = f"{n - 1} of {n} points were still improving when their steps ran out, the later half of which bought 0.4"
    assert f"{said} nats of their loss (median)." in text


def test_every_data_set_has_its_findings_the_first_at_the_top(tmp_path):
    records = fake_records.suite(("vae", "beta_tcvae"), ("sprites",), seeds=2)
    records += fake_records.suite(("vae", "vq_vae"), ("digits",), seeds=2)
    text = render(records, tmp_path, formats=()).read_text("utf-8")
    top, sections = text.split('<section id="boards">')
    names = [name for name in ("sprites", "digits") if f"<h3>On {name}</h3>" in top]
    assert len(names) == 1 and top.count('class="findings"') == sections.count('class="findings"') == 1
    saves, none = "these save the most rate at equal distortion", "no model saves rate at equal distortion"
    said = {"sprites": saves, "digits": none}
    [other] = {"sprites", "digits"} - {*names}
    assert said[names[0]] in top and said[other] in sections.split(f'<section id="{other}">')[1]


def twins(seeds, noise=0.0):
    """Records of two models of one R* and D, whose D_y differ by .1 nats, and at one of three rates by .25."""
    records = []
    for seed in range(seeds):
        for sigma, Dy, apart in ((2.0, 2.5, 0.1), (6.0, 1.5, 0.25 + noise * (-1) ** seed), (12.0, 0.5, 0.1)):
            one, other = (fake_records.record(m, sigma=sigma, seed=seed, H_x=None) for m in ("vae", "vq_vae"))
            same = ("R_star", "D", "D_own", "D_per_dim", "D_bits_per_dim", "D_star")
            other["values"] |= {name: one["values"][name] for name in same}
            for record, more in ((one, 0.0), (other, apart)):
                record["values"] |= {"Dy": Dy + more, "IV": record["values"]["Hy_V"] - Dy - more}
            records += [one, other]
    return records


def test_the_opening_says_what_agrees_in_rate_and_distortion_and_differs_in_usefulness(tmp_path):
    def said(name, records):
        return render(records, tmp_path / name, formats=()).read_text("utf-8")

    text, records = said("sure", twins(3)), twins(3)
    assert "usefulness still differs" in text and "have D_y 1.500 and 1.750 nats, 0.250 apart, 95 % interval" in text
    R, D = (f"{np.mean([r['values'][name] for r in records[2::6]]):.2f}" for name in ("R_star", "D"))
    assert f"VAE (R* {R}, D {D}) and VQ-VAE (R* {R}, D {D})" in text and "3 pairs" in text
    assert "no two codes are known to differ" in said("one seed", twins(1))
    assert "usefulness still differs" in (text := said("unsure", twins(2, noise=0.2))) and "0.100 apart" in text


def test_the_opening_says_whether_saving_rate_goes_with_usefulness(tmp_path):
    models = ("vae", "beta_vae", "beta_tcvae", "vq_vae", "infovae", "m2")  # m2 alone saw labels
    for given, over in ((models, "4 models without labels"), (models[2:] + models[:1], "4 models")):
        text = html.unescape(render(fake_records.suite(given, seeds=1), tmp_path, formats=()).read_text("utf-8"))
        assert re.search(rf"how useful its code is: Kendall's τ = [+−]?\d\.\d\d over {over}, p = \d", text)
    records = fake_records.suite(models, seeds=1)
    more = [fake_records.record("vq_vae", sigma=float(s), variant="ema", scale=1.2) for s in fake_records.SIGMAS]
    text = html.unescape(render([*records, *more], tmp_path, formats=()).read_text("utf-8"))
    assert " over 4 models without labels" in text  # a variant is no other model


def test_claims_are_a_section_of_the_page_and_a_table(tmp_path):
    said = {"vq_vae": Said("D, lower than vae, on sprites; D, higher than vae, on nowhere", "1711.00937")}
    text = html.unescape(
        render(fake_records.suite(("vae", "vq_vae"), seeds=3), tmp_path, claims=said).read_text("utf-8")
    )
    section = text[text.index('<section id="claims">') : text.index('<section id="boards">')]
    assert "2 claims: 1 not held, 1 not tested" in section
    assert '<a href="https://arxiv.org/abs/1711.00937">arXiv:1711.00937</a>' in section
    assert "VQ-VAE: D, higher than vae" not in section and "vq_vae: D, higher than vae, on nowhere" in section
    table = pd.read_csv(tmp_path / "claims.csv")
    assert list(table["verdict"]) == ["not held", "not tested"]
    assert list(table["paper"]) == 2 * ["arXiv:1711.00937"]  # which no reader takes for a number
    assert '<section id="claims">' not in render(fake_records.suite(("vae", "vq_vae")), tmp_path).read_text("utf-8")


def test_the_page_says_over_what_range_models_are_compared_as_the_board_does_it(page):
    text = html.unescape(page.read_text("utf-8"))
    assert f"costs {CAP:g} times the reference's highest rate" in text
    assert f"less than {100 * ENOUGH:g} % of that range" in text and "both reach" not in text


def test_numbers_of_the_provenance_are_whole_where_some_records_lack_them(tmp_path):
    records = [fake_records.record("vae", sigma=s) for s in (1.0, 4.0)]
    records[0]["provenance"]["threads"] = None
    text = render(records, tmp_path, formats=()).read_text("utf-8")
    assert '<th scope="row">threads</th><td>1</td>' in text


def test_a_sweep_is_told_apart_from_a_loss_without_a_target(tmp_path):
    def targets(swept, *own):
        made = [fake_records.record("beta_vae", sigma=None) for _ in swept]
        for record, beta in zip(made, swept, strict=True):
            record["spec"] |= {"params": {"beta": beta}, "sweep": ["beta"]}
            record["key"] = digest(record["spec"])
        text = render([fake_records.record("vae"), *own, *made], tmp_path, formats=()).read_text("utf-8")
        return text.partition("<dt>Target rates σ</dt><dd>")[2].partition("</dd>")[0]

    assert targets((1.0, 2.0)) == "6 nats; and a sweep of beta without one"
    both = "6 nats; and each model&#39;s own loss without a target (ELBO); and a sweep of beta without one"
    assert targets((1.0, 2.0), fake_records.record("vae", sigma=None)) == both


def test_what_the_templates_write_is_not_in_the_page_twice(whole, told):
    [one, *_] = told(whole)["sets"].values()
    assert "<h4>Clusters" in whole.read_text("utf-8")
    assert "tables" not in one["structure"] and one["structure"]["curves"]
