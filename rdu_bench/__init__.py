"""Rate, distortion and usefulness of autoencoders."""

__version__ = "0.1.0"
