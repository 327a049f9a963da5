"""Runs of random numbers: each goes on where it ended, whatever is drawn in between."""

import pytest
import torch

from rdu_bench.measure.streams import Stream, seeded


def test_a_run_goes_on_where_it_ended():
    torch.manual_seed(7)
    whole = torch.rand(6)
    stream = Stream(7, "cpu")
    parts = []
    for n in (2, 3, 1):
        torch.rand(5)
        with stream:
            parts.append(torch.rand(n))
    assert torch.equal(torch.cat(parts), whole)


def test_a_run_and_a_seed_leave_no_trace_outside():
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    first = torch.rand(1)
    stream = Stream(7, "cpu")
    with stream:
        torch.rand(3)
    with seeded(9, "cpu"):
        torch.rand(3)
    assert torch.equal(torch.cat([first, torch.rand(3)]), expected)


def test_a_run_within_itself_goes_on_and_within_another_does_not_disturb_it():
    torch.manual_seed(7)
    whole = torch.rand(4)
    stream, other = Stream(7, "cpu"), Stream(8, "cpu")
    with stream:
        parts = [torch.rand(1)]
        with stream:
            parts.append(torch.rand(1))
        with other:
            torch.rand(5)
        parts.append(torch.rand(1))
    with stream:
        parts.append(torch.rand(1))
    assert torch.equal(torch.cat(parts), whole)


def test_an_exception_ends_a_block_and_not_the_run():
    torch.manual_seed(7)
    whole = torch.rand(2)
    stream = Stream(7, "cpu")
    with pytest.raises(KeyError), stream:
        first = torch.rand(1)
        raise KeyError
    with stream:
        assert torch.equal(torch.cat([first, torch.rand(1)]), whole)
