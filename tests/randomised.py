"""Networks whose zeros are gone."""

import torch


def randomise(module, scale=0.5):
    """No weight at its initial zero, so that a dependence that may exist does."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0, scale)
    return module
