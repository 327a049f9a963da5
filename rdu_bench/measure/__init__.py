"""A frozen model in, numbers out: bounds with a direction, scored on points that nothing was fitted on."""

from .found import Found
from .measured import MEASUREMENTS, Measured, Measurement, measure
from .study import Study

__all__ = ["MEASUREMENTS", "Found", "Measured", "Measurement", "Study", "measure"]
