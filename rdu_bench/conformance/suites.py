"""What is wrong with a suite file, in words."""

from __future__ import annotations

from ..engine import expand, suite
from .plugin import CheckError, Finding, Source


def findings(source: Source) -> list[Finding]:
    """Whether it can be read, and whether what it names is there and goes together."""
    law = "suite"
    try:
        read = suite.read(source.path)
        curves = expand.curves(read)
    except (suite.SuiteError, LookupError, ValueError) as error:
        said = str(error.args[0] if isinstance(error, KeyError) else error)
        return [Finding(False, law, line) for line in said.splitlines()]
    except Exception as error:  # of a plug-in that it names
        raise CheckError(f"{source.path}: {error}") from error
    points = sum(len(curve.sigmas) for curve in curves)
    rows = {(curve.data_label, curve.row) for curve in curves}
    return [Finding(True, law, f"{len(rows)} rows, {len(curves)} curves, {points} points")]
