"""How long a run takes: from its own records, else from measured points and the speed of this machine."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rdu_bench._text import lasting
from rdu_bench.budget import find
from rdu_bench.engine import calibrate, suite
from rdu_bench.engine import plan as plans
from rdu_bench.engine.clock import timed
from rdu_bench.engine.expand import Selection, curves
from rdu_bench.engine.left import look
from rdu_bench.engine.pace import Pace, _step, left, spent, units
from rdu_bench.engine.plan import END, START, Planned, plan, wall_seconds
from rdu_bench.progress import clock
from rdu_bench.records.schema import parse_times
from rdu_bench.records.store import Store
from rdu_bench.training.strategies import Attempt

SPEED = 0.02


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """One of a known speed, with four cores."""
    monkeypatch.setattr(calibrate, "speed", lambda: SPEED)
    monkeypatch.setattr(plans, "cores", lambda: 4)


@pytest.fixture
def found():
    """Curves of two small models, three points each."""
    return curves(suite.read("smoke"), Selection(models=("vae", "vib"), seeds=2))


def record(curve, sigma, **times):
    return {
        "schema": 2,
        "key": curve.key(sigma),
        "spec": curve.spec(sigma),
        "status": "ok",
        "reason": None,
        "traceback": None,
        **{name: {} for name in ("model", "data", "control", "values", "factors")},
        "times": times or {"train_s": 2.0, "measure_s": 1.0},
        "provenance": {"finished": 1.0, "platform": 'a machine, "times": {}'},
    }


def test_an_estimate_comes_from_records_where_there_are_some(found):
    curve, other = found[0], found[-1]
    spec = curve.spec(3.0)
    assert math.isclose(Pace().seconds(spec), SPEED * units(spec))
    assert math.isclose(Pace([record(curve, 3.0)]).seconds(spec), 3.0)
    elsewhere = Pace([record(other, 3.0)]).seconds(spec)  # the machine is as fast as it was
    assert math.isclose(elsewhere, 3.0 * units(spec) / units(other.spec(3.0)))
    slow = record(other, 3.0, train_s=30.0, measure_s=None)
    assert math.isclose(Pace([slow, record(curve, 8.0)]).seconds(spec), 3.0)  # its own row counts
    assert math.isclose(Pace([record(curve, 3.0, train_s=0.0, measure_s=0.0)]).seconds(spec), SPEED * units(spec))


def test_steps_that_validation_ends_are_not_all_expected(found):
    spec = found[0].spec(3.0)

    def of(**budget):
        return units({**spec, "budget": {**spec["budget"], **budget}})

    assert of(steps=100_000, patience=0.4) == of(steps=3000) < of(steps=100_000)
    assert of(steps=500, patience=0.4) == of(steps=500)


def test_seconds_of_the_cpu_count_where_a_record_has_them(found):
    busy = {"train_s": 20.0, "train_cpu_s": 2.0, "measure_s": 9.0, "measure_cpu_s": 1.0}
    assert spent(busy) == 3.0 and spent({"train_s": 2.0, "measure_s": 1.0}) == 3.0
    assert spent({"train_cpu_s": None, "train_s": 2.0, "measure_s": None}) == 2.0 and spent({}) == 0.0
    assert math.isclose(Pace([record(found[0], 3.0, **busy)]).seconds(found[0].spec(3.0)), 3.0)


def spec(model="vae", suite_name="quick", budget=None, **changes):
    [curve, *_] = curves(suite.read(suite_name), Selection(models=(model,)))
    budget = curve.budget.model_copy(update=budget or {})
    return replace(curve, budget=budget, **changes).spec(curve.sigmas[0])


def test_what_is_more_work_takes_longer():
    usual = units(spec())
    assert units(spec(budget={"steps": 25600})) == usual > units(spec(budget={"steps": 1600}))  # a cap
    few, many = (units(spec(budget={"steps": steps, "patience": 0})) for steps in (800, 1600))
    assert 1.2 * few < many < usual
    assert units(spec(budget={"batch": 512})) > 1.5 * usual
    assert units(spec(budget={"probe_steps": 3000})) > usual + units(spec(budget={"probe_steps": 300, "steps": 1}))
    assert units(spec(budget={"score_trees": True})) > 5 * usual
    assert units(spec(network={"family": "mlp", "hidden": [1024, 1024], "latent": 10})) > 2 * usual
    assert units(spec(network={"family": "conv", "hidden": [16, 32, 64], "latent": 10})) > 2 * usual
    assert units(spec("m2")) > 2 * usual
    assert units(spec(suite_name="structure")) > 2 * usual
    assert units(spec(suite_name="smoke")) < 0.3 * usual
    assert units(spec(strategy="continuation")) == usual  # the first of a chain
    [curve, *_] = curves(suite.read("quick"), Selection(models=("vae",), strategy="continuation"))
    assert units(curve.spec(1.0)) < units(curve.spec(18.0))


def test_what_was_never_measured_takes_what_others_do():
    seen, unseen = units(spec()), units(spec() | {"model": "mine"})
    assert seen / 4 < unseen < 10 * seen
    assert units(spec() | {"dataset": "mine", "dataset_label": "mine"}) > 0
    assert units(spec() | {"variant": "mine"}) == seen  # a variant is its model
    on_sprites = units(spec(suite_name="structure") | {"model": "mine"})
    assert on_sprites > 1.5 * unseen


def test_images_of_64_take_what_was_measured_of_their_networks():
    """A step on one channel as long as 68 on digits, on three as long as 90, of CPU on one thread."""
    digits, one, three = (_step(spec(suite_name=name)) for name in ("quick", "dsprites", "shapes3d"))
    assert one / digits == pytest.approx(68, rel=0.05) and three / digits == pytest.approx(90, rel=0.05)


def test_every_point_of_our_suites_has_an_estimate():
    for name in suite.names():
        for curve in curves(suite.read(name), Selection()):
            for sigma in curve.sigmas:
                assert 1 < units(curve.spec(sigma)) < 1e6
    assert units(spec() | {"budget": find("paper").spec()}) > 5 * units(spec())


def test_a_plan_tells_what_is_done_and_how_long_the_rest_takes(found, tmp_path):
    store = Store(tmp_path)
    for sigma in found[0].sigmas[:2]:
        store.write(record(found[0], sigma))
    one, *rest = plan(found, look(found, store))
    assert one.done == (True, True, False) and math.isclose(sum(one.parts), 3.0)
    assert all(p.done == (False, False, False) for p in rest)
    assert math.isclose(sum(rest[0].parts), 9.0) and len(rest[0].parts) == 3  # the other seed
    ratio = units(found[-1].spec(3.0)) / units(found[0].spec(3.0))
    assert math.isclose(sum(rest[-1].parts), 9.0 * ratio)
    chained = [replace(curve, strategy="continuation") for curve in found]
    assert {len(p.parts) for p in plan(chained, look(chained, store))} == {1}


@pytest.mark.parametrize(
    ("seconds", "jobs", "found"),
    [
        ([3, 9, 9, 9], 1, 30),
        ([3, 9, 9, 9], 0, 30),
        ([3, 9, 9, 9], 2, 18),
        ([3, 9, 9, 9], 3, 12),
        ([3, 9, 9, 9], 64, 9),  # a part is not divided
        ([9] * 8, 64, 18),  # nor a core
        ([5, 4, 3, 3], 2, 8),
    ],
)
def test_the_time_of_a_run_is_that_of_its_busiest_worker(seconds, jobs, found):
    for planned in ([Planned(None, (), (s,)) for s in seconds], [Planned(None, (), tuple(seconds))]):
        assert math.isclose(wall_seconds(planned, jobs), found + (START + END) * SPEED)


def test_a_run_of_which_nothing_is_left_draws_its_report():
    assert math.isclose(wall_seconds([Planned(None, (True,), ())], 2), END * SPEED)


def test_what_is_left_takes_what_others_took_of_what_was_expected():
    assert left({}, {"a": 2.0, "b": 3.0}) == 5.0
    assert left({"a": 4.0, "other": 100.0}, {"a": 2.0, "b": 3.0}) == 6.0
    assert left({"a": 4.0}, {"a": 2.0}) == left({"a": 4.0}, {}) == 0.0


def test_time_is_said_in_words():
    said = {0.2: "1 s", 40: "40 s", 89: "89 s", 90: "2 min", 3557: "59 min", 5300: "88 min", 5400: "1 h 30 min"}
    said |= {7200: "2 h", 12_000: "3 h 20 min", 86_400: "24 h", 129_600: "1 day 12 h", 172_800: "2 days"}
    assert {seconds: lasting(seconds) for seconds in said} == said
    assert (clock(90), clock(3601), clock(0.2)) == ("1:30", "1:00:01", "0:00")


def test_times_are_read_from_the_end_of_a_file(found, tmp_path):
    store = Store(tmp_path)
    path = store.write(record(found[0], 3.0, train_s=2.5, train_cpu_s=1.25))
    [(_, head)] = store.heads()
    assert head["times"] == {"train_s": 2.5, "train_cpu_s": 1.25} and head["status"] == "ok"
    end = path.read_bytes()
    assert parse_times(end[-10:]) == parse_times(b"") == parse_times(b'"times":{"a":"b"},}') == {}


def test_a_run_notes_what_it_expects_when_it_begins(found, tmp_path):
    store, known = Store(tmp_path), [c.spec(s) for c in found for s in c.sigmas]
    store.ask(known[:2], lambda spec: 7.0)
    store.ask(known[:4], lambda spec: 9.0)  # what was expected first stays
    assert set(store.expected().values()) == {7.0} and store.expected().keys() == store.asked()
    again = [spec | {"heads": ["linear"]} for spec in known[:4]]
    store.ask(again, lambda spec: 11.0)
    assert set(store.expected().values()) == {11.0}
    store.ask(again)
    assert set(store.expected().values()) == {11.0}


@pytest.fixture
def attempts(monkeypatch):
    """Attempts that take so many seconds of waiting, and of work, before they are given, by a clock of their own."""
    passed = {"all": 0.0, "work": 0.0}
    own = SimpleNamespace(perf_counter=lambda: passed["all"], process_time=lambda: passed["work"])
    monkeypatch.setattr("rdu_bench.engine.clock.time", own)

    def made(*each):
        for waits, works, seconds in each:
            passed["all"] += waits + works
            passed["work"] += works
            yield Attempt(None, None, seconds)

    return made


def test_cpu_seconds_are_those_of_work_and_not_of_waiting(attempts):
    slept, worked, both = timed(attempts((2.0, 0.0, 2.0), (0.0, 1.0, 1.0), (3.0, 1.0, 4.0)))
    assert (slept.cpu, worked.cpu, both.cpu) == (0.0, 1.0, 1.0)


def test_a_training_that_is_shared_is_paid_in_equal_parts(attempts):
    """As one network: all is trained before the first is given, and each says its share."""
    shares = list(timed(attempts((1.0, 3.0, 2.0), (0.0, 0.0, 2.0))))
    assert [share.cpu for share in shares] == pytest.approx([1.5, 1.5])


def test_the_speed_of_a_machine_is_measured_once(monkeypatch):
    monkeypatch.undo()
    calibrate.speed.cache_clear()
    rounds, honest = [], calibrate._round
    monkeypatch.setattr(calibrate, "_round", lambda: rounds.append(honest()) or rounds[-1])
    assert calibrate.speed() == calibrate.speed() == min(rounds) > 0 and len(rounds) == calibrate.ROUNDS
    calibrate.speed.cache_clear()
